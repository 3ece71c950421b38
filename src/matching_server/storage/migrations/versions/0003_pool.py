"""What lets servers keep a picture of the pool: which rows changed, in what order, and in what respect.

``storage.pool`` tells how these columns are read.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# One sequence for all rows: a number that is never given again, not even to an advisor who was deleted and made anew.
COLUMNS = """
CREATE SEQUENCE advisor_availability_changes;
ALTER TABLE advisor_availability
    ADD COLUMN version bigint NOT NULL DEFAULT nextval('advisor_availability_changes'),
    ADD COLUMN profile_version bigint NOT NULL DEFAULT nextval('advisor_availability_changes'),
    ADD COLUMN changed_xid bigint NOT NULL DEFAULT (pg_current_xact_id()::text)::bigint;
"""

# No index on changed_xid: with one, no claim could be a heap-only update any more.
CHANGES = """
CREATE FUNCTION matching_availability_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
BEGIN
    NEW.version := nextval('advisor_availability_changes');
    NEW.changed_xid := pg_current_xact_id()::text::bigint;
    IF NEW.profile_version <> OLD.profile_version
        OR NEW.status <> OLD.status
        OR NEW.max_concurrent_projects <> OLD.max_concurrent_projects
        OR NEW.advisor_active <> OLD.advisor_active
        OR NEW.availability_preferences <> OLD.availability_preferences
    THEN
        NEW.profile_version := NEW.version;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER matching_availability_change BEFORE UPDATE ON advisor_availability
    FOR EACH ROW EXECUTE FUNCTION matching_availability_change();
"""

# SECURITY DEFINER and a path of its own, as for the triggers of 0002. The row that decides claims has to tell
# of a changed profile, too: a claim demands the profile that was ranked.
PROFILE = """
DROP TRIGGER matching_mirror_advisor_active ON advisors;
DROP FUNCTION matching_mirror_advisor_active();
CREATE FUNCTION matching_mirror_profile() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
BEGIN
    UPDATE advisor_availability
    SET advisor_active = NEW.active, profile_version = 0, updated_at = CASE
        WHEN advisor_active IS DISTINCT FROM NEW.active THEN clock_timestamp() ELSE updated_at END
    WHERE advisor_id = NEW.id;
    RETURN NULL;
END
$$;
CREATE TRIGGER matching_mirror_profile AFTER UPDATE ON advisors
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*)
    EXECUTE FUNCTION matching_mirror_profile();
"""


def upgrade() -> None:
    """Adds them."""
    schema = op.get_bind().execute(text("SELECT quote_ident(current_schema())")).scalar_one()
    op.execute(COLUMNS)
    op.execute(CHANGES.format(schema=schema))
    op.execute(PROFILE.format(schema=schema))
