-- inval, and the last 10,000 invalidations are listed in inval_history: who, what and how
-- fast.
CREATE EXTENSION IF NOT EXISTS inval;
SELECT inval_track('@table@', '@column@');
