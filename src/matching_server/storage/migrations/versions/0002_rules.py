"""What the database keeps true by itself, whoever changes it, and the platform's view of the chat."""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

MATCH_VERSION = """
CREATE FUNCTION matching_match_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status IS DISTINCT FROM OLD.status THEN
        NEW.previous_status := OLD.status;
    END IF;
    NEW.version := OLD.version + 1;
    NEW.updated_at := clock_timestamp();
    RETURN NEW;
END
$$;
CREATE TRIGGER matching_match_version BEFORE UPDATE ON advisor_match_requests
    FOR EACH ROW EXECUTE FUNCTION matching_match_version();
"""

# SECURITY DEFINER and a path of its own: these run inside statements of the platform, which may neither write
# the service's tables nor look for them.
ADVISOR_ACTIVE = """
CREATE FUNCTION matching_mirror_advisor_active() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
BEGIN
    UPDATE advisor_availability SET advisor_active = NEW.active, updated_at = clock_timestamp()
    WHERE advisor_id = NEW.id;
    RETURN NULL;
END
$$;
CREATE TRIGGER matching_mirror_advisor_active AFTER UPDATE OF active ON advisors
    FOR EACH ROW WHEN (OLD.active IS DISTINCT FROM NEW.active)
    EXECUTE FUNCTION matching_mirror_advisor_active();

CREATE FUNCTION matching_take_advisor_active() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
BEGIN
    -- The lock keeps a deactivation, which could not see this row yet, from passing it by.
    SELECT active INTO NEW.advisor_active FROM advisors WHERE id = NEW.advisor_id FOR SHARE;
    IF NOT FOUND THEN
        NEW.advisor_active := false;  -- The foreign key says it better than a missing value.
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER matching_take_advisor_active BEFORE INSERT ON advisor_availability
    FOR EACH ROW EXECUTE FUNCTION matching_take_advisor_active();
"""

# A held match of the same project holds the same slot, and keeps it: the sweep closes it and frees the slot.
FREE_SLOT = """
CREATE FUNCTION matching_free_slot() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
BEGIN
    UPDATE advisor_availability
    SET current_projects = greatest(current_projects - 1, 0), updated_at = clock_timestamp()
    WHERE advisor_id = OLD.advisor_id AND NOT EXISTS (
        SELECT FROM advisor_match_requests
        WHERE project_id = OLD.project_id AND matched_advisor_id = OLD.advisor_id
            AND (status IN ('matched', 'client_approved', 'advisor_accepted')
                OR (status = 'finalized' AND provisioning_state IS DISTINCT FROM 'ready')));
    RETURN NULL;
END
$$;
CREATE TRIGGER matching_free_slot AFTER DELETE ON project_advisors
    FOR EACH ROW WHEN (OLD.status = 'active') EXECUTE FUNCTION matching_free_slot();
"""

CHAT_LOG = """
CREATE VIEW project_chat_log_minimal AS
SELECT id, project_id, user_id, actor_type, message_type, mode, text, response_data, client_msg_id, seq,
    created_at
FROM unified_chat_messages;
COMMENT ON VIEW project_chat_log_minimal IS 'The chat under the name and columns that the platform reads.';
"""


def upgrade() -> None:
    """Adds them."""
    schema = op.get_bind().execute(text("SELECT quote_ident(current_schema())")).scalar_one()
    op.execute(MATCH_VERSION)
    op.execute(ADVISOR_ACTIVE.format(schema=schema))
    op.execute(FREE_SLOT.format(schema=schema))
    op.execute(CHAT_LOG)
