-- Compared with what a node holds.
SELECT version, pushed FROM gyro.catalogue_version
