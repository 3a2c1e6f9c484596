-- Home networks. $1 version.
SELECT mcc_mnc
  FROM jsonb_populate_recordset(NULL::gyro.home_network,
                                (SELECT content FROM gyro.catalogue_archive WHERE version = $1::bigint) -> 'home_network')
 ORDER BY mcc_mnc
