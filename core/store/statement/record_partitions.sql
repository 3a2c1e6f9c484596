-- Partitions for the records of the coming days.
SELECT gyro.record_partition()
