-- catalogue.yaml as SQL, for a tree whose gyroctl can't apply it.
INSERT INTO gyro.service_context VALUES ('32251@3gpp.org', 10);
INSERT INTO gyro.rating_group (rating_group, name, default_grant, max_grant, threshold, validity_s, quota_holding_s, final_unit)
VALUES (10, 'internet', 10485760, 52428800, 2097152, 14400, 600, 0);
INSERT INTO gyro.specific_tariff (code) VALUES ('bench');
INSERT INTO gyro.specific_rule (tariff_id, rating_group, unit, kind, price_micros, block)
SELECT tariff_id, 10, 1, 0, 10000, 1048576 FROM gyro.specific_tariff WHERE code = 'bench';
