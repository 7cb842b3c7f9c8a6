-- hold: claims the time of the coach whose turn it is; one transaction
SELECT hold(%(tenant)s, %(client)s, %(most)s, %(calendar)s, %(start)s, %(for)s, %(key)s, %(fingerprint)s, %(keep)s, %(now)s) AS done;

-- release: gives a held time back; one transaction
SELECT release_hold(%(tenant)s, %(hold)s, %(key)s, %(fingerprint)s, %(keep)s, %(now)s) AS done;

-- expire: gives back what has expired; one transaction
SELECT expire_holds(%(now)s) AS n;
