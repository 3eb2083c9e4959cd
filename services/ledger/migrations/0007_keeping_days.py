"""Functions by which the service has days of the archive made and dropped, for it may not do so by itself.

They work as the owner of the tables. The path on which they look for names is their own: whoever calls them cannot put
another table in the place of one.
"""

from alembic import op

revision = "ledger_0007"
down_revision = "ledger_0006"
branch_labels = None
depends_on = None

# Nobody writes meanwhile: an event on its way to the rest would find that it does not belong there any more.
MAKE = """
CREATE FUNCTION events_make_days(wanted date[]) RETURNS void LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE one date; name text;
BEGIN
  LOCK TABLE ONLY events IN SHARE ROW EXCLUSIVE MODE;
  FOREACH one IN ARRAY wanted LOOP
    name := 'events_' || to_char(one, 'YYYYMMDD');
    CONTINUE WHEN to_regclass('public.' || name) IS NOT NULL;
    EXECUTE format('CREATE TABLE public.%I (LIKE events)', name);
    EXECUTE format('WITH moved AS (DELETE FROM events_rest WHERE day = %L RETURNING *) '
                   'INSERT INTO %I SELECT * FROM moved', one, name);
    EXECUTE format('ALTER TABLE events ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', name, one, one + 1);
  END LOOP;
END $$
"""
DROP = """
CREATE FUNCTION events_drop_days(unwanted date[]) RETURNS void LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE one date;
BEGIN
  FOREACH one IN ARRAY unwanted LOOP
    EXECUTE format('DROP TABLE IF EXISTS %I', 'events_' || to_char(one, 'YYYYMMDD'));
  END LOOP;
END $$
"""
DAYS_OF_REST = """
CREATE FUNCTION events_days_of_rest(first date, last date) RETURNS SETOF date LANGUAGE sql STABLE
SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT DISTINCT day FROM events_rest WHERE day BETWEEN first AND last
$$
"""
FORGET_REST = """
CREATE FUNCTION events_forget_rest(before timestamptz) RETURNS bigint LANGUAGE sql
SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH forgotten AS (DELETE FROM events_rest WHERE archived_at < before RETURNING 1) SELECT count(*) FROM forgotten
$$
"""


def upgrade() -> None:
    for function in (MAKE, DROP, DAYS_OF_REST, FORGET_REST):
        op.execute(function)


def downgrade() -> None:
    op.execute("DROP FUNCTION events_make_days, events_drop_days, events_days_of_rest, events_forget_rest")
