"""A log of what staff and operators did and of who was refused, in which each row vouches for all before it.

Whoever acts adds a row to `audit_waiting`, in the transaction that acts. The function gives each its place: it alone
writes `audit`, as the owner of the tables, one caller at a time. Without a caller nothing is lost, it only waits.
"""

import sqlalchemy as sa
from alembic import op

revision = "backbone_0019"
down_revision = "backbone_0018"

CHAIN = """
CREATE FUNCTION audit_chain(most int) RETURNS TABLE (number bigint, entry text, previous text, hash text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
#variable_conflict use_column
DECLARE one record;
BEGIN
  IF NOT pg_try_advisory_xact_lock(hashtext('sliceline.audit')) THEN RETURN; END IF;
  SELECT last.number, last.hash INTO audit_chain.number, audit_chain.hash
  FROM public.audit AS last ORDER BY last.number DESC LIMIT 1;
  audit_chain.number := coalesce(audit_chain.number, 0);
  audit_chain.hash := coalesce(audit_chain.hash, repeat('0', 64));
  FOR one IN SELECT w.id, w.entry FROM public.audit_waiting AS w ORDER BY w.id LIMIT most LOOP
    audit_chain.number := audit_chain.number + 1;
    audit_chain.entry := one.entry;
    audit_chain.previous := audit_chain.hash;
    audit_chain.hash := encode(sha256(convert_to(
      audit_chain.previous || E'\\n' || audit_chain.number || E'\\n' || audit_chain.entry, 'UTF8')), 'hex');
    INSERT INTO public.audit (number, entry, previous, hash)
    VALUES (audit_chain.number, audit_chain.entry, audit_chain.previous, audit_chain.hash);
    DELETE FROM public.audit_waiting WHERE id = one.id;
    RETURN NEXT;
  END LOOP;
END $$
"""


def upgrade() -> None:
    op.create_table(
        "audit_waiting",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("entry", sa.Text, nullable=False),
    )
    op.create_table(
        "audit",
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("entry", sa.Text, nullable=False),
        sa.Column("previous", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
    )
    op.execute(CHAIN)


def downgrade() -> None:
    op.execute("DROP FUNCTION audit_chain")
    op.drop_table("audit")
    op.drop_table("audit_waiting")
