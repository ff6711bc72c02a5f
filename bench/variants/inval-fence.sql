-- inval with a fence: leases of readers are void when COMMIT returns, as well as the
-- keys gone.
CREATE EXTENSION IF NOT EXISTS inval;
SELECT inval_track('@table@', '@column@', fence => true);
