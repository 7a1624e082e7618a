-- The tables every driver is measured on; rows are the same on every run. Items hold only types
-- that every driver turns into the same Python values (the original reads no timestamptz).
CREATE TABLE items (
    id int PRIMARY KEY,
    name text NOT NULL,
    email text NOT NULL,
    active boolean NOT NULL,
    score float8 NOT NULL,
    created_at timestamp NOT NULL,
    price numeric(12, 2) NOT NULL,
    attributes jsonb NOT NULL
);
INSERT INTO items
SELECT i, 'item number ' || i, 'user' || i || '@example.com', i % 2 = 0, i * 1.25,
       timestamp '2026-01-01 00:00:00.123456' + i * interval '1 minute', i * 0.37,
       jsonb_build_object('colour', 'blue', 'size', i, 'tags', jsonb_build_array('a', 'b'))
FROM generate_series(1, 100000) AS i;

-- Half of every page is free, so that updates stay on their page and a long run costs no more
-- at its end than at its start.
CREATE TABLE accounts (
    id int PRIMARY KEY,
    owner text NOT NULL,
    balance int NOT NULL
) WITH (fillfactor = 50);
INSERT INTO accounts SELECT i, 'owner ' || i, 1000 FROM generate_series(1, 1000) AS i;

CREATE UNLOGGED TABLE arrivals (id int NOT NULL, name text NOT NULL, score float8 NOT NULL);

CREATE UNLOGGED TABLE copied (
    id int NOT NULL,
    name text NOT NULL,
    email text NOT NULL,
    active boolean NOT NULL,
    score float8 NOT NULL,
    created_at timestamp NOT NULL
);

-- The specification's handler reads a user and writes a line to another database's log.
CREATE TABLE users (
    id int PRIMARY KEY,
    name text NOT NULL,
    email text NOT NULL,
    active boolean NOT NULL
);
INSERT INTO users
SELECT i, 'user number ' || i, 'user' || i || '@example.com', true FROM generate_series(1, 1000) AS i;

CREATE UNLOGGED TABLE access_logs (user_id int, action text, timestamp timestamptz);

CREATE TABLE kinds (
    id int PRIMARY KEY,
    an_int int NOT NULL,
    a_text text NOT NULL,
    a_timestamptz timestamptz NOT NULL,
    a_numeric numeric NOT NULL,
    a_jsonb jsonb NOT NULL,
    a_uuid uuid NOT NULL,
    an_int_array int[] NOT NULL
);
INSERT INTO kinds
SELECT i, i * 7919, 'some text of usual length, number ' || i,
       timestamptz '2026-01-01 00:00:00.123456+00' + i * interval '1 minute', i * 12.345,
       jsonb_build_object('colour', 'blue', 'size', i, 'tags', jsonb_build_array('a', 'b')),
       md5(i::text)::uuid, array[i, i + 1, i + 2, i + 3, i + 4]
FROM generate_series(1, 1000) AS i;

VACUUM ANALYZE;
