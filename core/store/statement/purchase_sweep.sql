-- Ends purchases whose hold time is over, $1 at most; returns how many.
SELECT gyro.purchase_sweep($1::integer)
