-- Are there records of days that have no partition?
SELECT EXISTS (SELECT FROM gyro.record_default)
