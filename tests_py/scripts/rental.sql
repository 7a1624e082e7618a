-- A schema of the kind that sample databases have: domains, enums, bodies in every quoting, triggers,
-- partitions, rules, views; semicolons where they end nothing.
SET statement_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SET check_function_bodies = false;
SET client_min_messages = warning;
SELECT pg_catalog.set_config('search_path', '', false);

CREATE SCHEMA rental;
CREATE TYPE rental.rating AS ENUM ('G', 'PG;13', 'R');
CREATE DOMAIN rental.year AS integer CONSTRAINT year_check CHECK (((VALUE >= 1901) AND (VALUE <= 2155)));

CREATE FUNCTION rental.group_concat_step(text, text) RETURNS text
    LANGUAGE sql IMMUTABLE
    AS $_$
SELECT CASE
  WHEN $2 IS NULL THEN $1
  WHEN $1 IS NULL THEN $2
  ELSE $1 || ', ' || $2
END;
$_$;
CREATE AGGREGATE rental.group_concat(text) (SFUNC = rental.group_concat_step, STYPE = text);

CREATE SEQUENCE rental.film_id_seq START WITH 1;
CREATE TABLE rental.film (
    film_id integer DEFAULT nextval('rental.film_id_seq'::regclass) PRIMARY KEY,
    title character varying(255) NOT NULL,
    "release; year" rental.year,
    rating rental.rating DEFAULT 'G'::rental.rating,
    special_features text[],
    fulltext tsvector NOT NULL,
    last_update timestamp without time zone DEFAULT now() NOT NULL
);
CREATE TABLE rental.payment (
    payment_id integer NOT NULL, film_id integer NOT NULL REFERENCES rental.film DEFERRABLE INITIALLY DEFERRED,
    amount numeric(5,2) NOT NULL, paid_at date NOT NULL
) PARTITION BY RANGE (paid_at);
CREATE TABLE rental.payment_old PARTITION OF rental.payment FOR VALUES FROM (MINVALUE) TO ('2020-01-01');
CREATE TABLE rental.payment_new PARTITION OF rental.payment FOR VALUES FROM ('2020-01-01') TO (MAXVALUE);

CREATE FUNCTION rental.last_updated() RETURNS trigger LANGUAGE plpgsql AS '
BEGIN
    NEW.last_update = CURRENT_TIMESTAMP; -- it''s now
    RETURN NEW;
END ';
CREATE TRIGGER last_updated BEFORE UPDATE ON rental.film FOR EACH ROW EXECUTE FUNCTION rental.last_updated();
CREATE TRIGGER film_fulltext BEFORE INSERT OR UPDATE ON rental.film FOR EACH ROW
    EXECUTE FUNCTION tsvector_update_trigger('fulltext', 'pg_catalog.english', 'title');

CREATE FUNCTION rental.rewards(minimum integer, OUT count integer) LANGUAGE plpgsql AS $rewards$
DECLARE
    statement text := $q$SELECT count(*) FROM rental.payment WHERE amount > $1; $q$;
BEGIN
    IF minimum < 0 THEN
        RAISE EXCEPTION 'no; not %', minimum;
    END IF;
    EXECUTE statement INTO count USING minimum;
END;
$rewards$;
CREATE OR REPLACE FUNCTION rental.rated(which rental.rating) RETURNS SETOF rental.film
    BEGIN ATOMIC
    SELECT * FROM rental.film WHERE CASE WHEN which IS NULL THEN true ELSE rating = which END;
    SELECT * FROM rental.film WHERE rating = which;
    END;
CREATE PROCEDURE rental.pay(film integer, amount numeric) BEGIN ATOMIC
    INSERT INTO rental.payment VALUES (1, film, amount, '2021-01-01');
    INSERT INTO rental.payment VALUES (2, film, amount, '2019-01-01');
END;

CREATE VIEW rental.film_list AS
    SELECT f.title AS "Title;", rental.group_concat(p.amount::text) AS paid
    FROM rental.film f LEFT JOIN rental.payment p USING (film_id) GROUP BY f.title;
CREATE TABLE rental.log (what text);
CREATE RULE noted AS ON DELETE TO rental.film DO ALSO (
    INSERT INTO rental.log VALUES ('deleted; ' || OLD.title); INSERT INTO rental.log VALUES ('again'));

INSERT INTO rental.film (title, "release; year", rating, special_features)
    VALUES ('Academy; Dinosaur', 2006, 'PG;13', '{"Deleted; Scenes",Trailers}'), (E'Ace\'s; Goldfinger', 1999, 'G', NULL);
CALL rental.pay(1, 9.99); /* twice; /* in fact */ */ CALL rental.pay(2, 0.99);
DO $$ BEGIN PERFORM rental.rewards(1); END; $$;
DELETE FROM rental.payment WHERE film_id = 2;
DELETE FROM rental.film WHERE film_id = 2;
COMMENT ON TABLE rental.film IS 'films; and -- more';
