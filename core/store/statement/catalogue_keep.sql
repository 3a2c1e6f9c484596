-- Archives the catalogue as this transaction sees it, and tells its version.
SELECT gyro.catalogue_keep()
