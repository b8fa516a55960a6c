-- Which readers of a tenant's topic were told of an erasure, and what became of it: ids, offsets and times. Expand only.

SET ROLE mk_owner;

CREATE TABLE mk.reader_notice (
    request_id  uuid NOT NULL REFERENCES mk.erasure_request,
    grant_id    uuid NOT NULL REFERENCES mk.reader_grant,
    told_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Where the tenant's topic ended after `subject.erased`, by partition from 0: who has committed these has acknowledged.
    ends        bigint[] NOT NULL,
    settled     text CHECK (settled IN ('acknowledged', 'ended', 'missed')),
    settled_at  timestamptz,
    -- When the outcomes topic had been told that no reader of the request is waited for any longer.
    reported_at timestamptz,
    PRIMARY KEY (request_id, grant_id),
    CHECK ((settled IS NULL) = (settled_at IS NULL))
);
CREATE INDEX reader_notice_open ON mk.reader_notice (grant_id, told_at, request_id) WHERE settled_at IS NULL;
CREATE INDEX reader_notice_unreported ON mk.reader_notice (request_id) WHERE settled_at IS NOT NULL AND reported_at IS NULL;

GRANT SELECT, INSERT ON mk.reader_notice TO mk_erasure;
GRANT UPDATE (settled, settled_at, reported_at) ON mk.reader_notice TO mk_erasure;
RESET ROLE;
