-- Compared with what a node holds.
SELECT c.version, p.version AS pushed FROM gyro.catalogue_version c, gyro.pushed_version p
