-- inval with strict rules: keys are fenced before the commit record, which is one round
-- trip more.
CREATE EXTENSION IF NOT EXISTS inval;
SELECT inval_track('@table@', '@column@', delivery => 'strict');
