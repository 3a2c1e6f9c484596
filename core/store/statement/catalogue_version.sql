-- Compared with the snapshot a node holds.
SELECT version FROM gyro.catalogue_version
