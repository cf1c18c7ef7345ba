-- Lets txsessionsock see what is done to your table of sessions, whoever does it.
-- Once in your database:
--
--     psql -f notify.sql shop
--
-- and then for your table, with the name of the column that holds the key:
--
--     CREATE TRIGGER txsessionsock AFTER INSERT OR UPDATE OR DELETE ON django_session
--         FOR EACH ROW EXECUTE FUNCTION txsessionsock_notify('session_key');
--     CREATE TRIGGER txsessionsock_all AFTER TRUNCATE ON django_session
--         FOR EACH STATEMENT EXECUTE FUNCTION txsessionsock_notify();
--
-- Everybody who may connect to the database may listen: so what is told is not
-- a key but its hash, and after that who wrote, if that was a txsessionsock.

CREATE OR REPLACE FUNCTION txsessionsock_notify() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    writer text := coalesce(current_setting('txsessionsock.writer', true), '');
    whose text;
    was text;
    became text;
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        PERFORM pg_notify('txsessionsock', '*');
        RETURN NULL;
    END IF;
    whose := format('SELECT ($1).%I::text', TG_ARGV[0]);
    IF TG_OP <> 'INSERT' THEN
        EXECUTE whose INTO was USING OLD;
        PERFORM pg_notify('txsessionsock',
            encode(sha256(convert_to(was, 'UTF8')), 'hex') || ' ' || writer);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        EXECUTE whose INTO became USING NEW;
        IF became IS DISTINCT FROM was THEN
            PERFORM pg_notify('txsessionsock',
                encode(sha256(convert_to(became, 'UTF8')), 'hex') || ' ' || writer);
        END IF;
    END IF;
    RETURN NULL;
END
$$;
