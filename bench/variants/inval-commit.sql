-- inval with its default settings: the keys are gone before COMMIT returns.
CREATE EXTENSION IF NOT EXISTS inval;
SELECT inval_track('@table@', '@column@');
