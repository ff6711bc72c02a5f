-- inval with delivery "background": the worker removes the keys, COMMIT does not wait.
CREATE EXTENSION IF NOT EXISTS inval;
SELECT inval_track('@table@', '@column@', delivery => 'background');
