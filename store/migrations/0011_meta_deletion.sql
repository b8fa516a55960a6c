-- What is asked of Meta for an erased person: one row for each number and each BSUID of the request. Expand only.

SET ROLE mk_owner;

-- `ordinal`: the place of the BSUID in the request's `details`, which are encrypted and go as soon as all rows have ended.
CREATE TABLE mk.meta_deletion (
    request_id       uuid NOT NULL REFERENCES mk.erasure_request,
    phone_number_id  text NOT NULL,
    ordinal          integer NOT NULL,
    attempts         integer NOT NULL DEFAULT 0,
    -- HTTP status of the last answer; null while nobody answered.
    status           integer,
    first_asked_at   timestamptz,
    next_attempt_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at         timestamptz,
    -- False: given up.
    is_deleted       boolean,
    PRIMARY KEY (request_id, phone_number_id, ordinal),
    CHECK ((ended_at IS NULL) = (is_deleted IS NULL))
);
CREATE INDEX erasure_request_details ON mk.erasure_request (request_id) WHERE details IS NOT NULL;

GRANT SELECT, INSERT, UPDATE ON mk.meta_deletion TO mk_erasure;
RESET ROLE;
