-- Counts, and quantiles by Kaplan-Meier: who still waits counts as "longer than until now", instead of
-- being left out. A quantile that the curve does not reach yet is NULL. no_reply has no duration.
WITH cohort AS (
    SELECT outcome, elapsed_us
    FROM first_response($last_event, $as_of)
    WHERE coalesce(local_day(asked_at, $zone) >= $first::DATE, true)
      AND coalesce(local_day(asked_at, $zone) <= $last::DATE, true)
), step AS (
    SELECT elapsed_us, count(*) FILTER (outcome = 'answered') AS answers, count(*) AS leaving
    FROM cohort WHERE elapsed_us IS NOT NULL GROUP BY elapsed_us
), risk AS (
    SELECT elapsed_us, answers, sum(leaving) OVER (ORDER BY elapsed_us DESC) AS at_risk FROM step
), curve AS (
    SELECT elapsed_us, product(1 - answers / at_risk) OVER (ORDER BY elapsed_us) AS waiting FROM risk WHERE answers > 0
)
-- Products of fractions miss 0.5 by a rounding error; 1e-12 is less than one ticket in any desk.
SELECT
    count(*) AS asked,
    count(*) FILTER (outcome = 'answered') AS answered,
    count(*) FILTER (outcome = 'waiting') AS waiting,
    count(*) FILTER (outcome = 'no_reply') AS no_reply,
    (SELECT min(elapsed_us) FROM curve WHERE waiting <= 0.5 + 1e-12) AS median_us,
    (SELECT min(elapsed_us) FROM curve WHERE waiting <= 0.1 + 1e-12) AS p90_us,
    max(elapsed_us) FILTER (outcome = 'waiting') AS longest_wait_us
FROM cohort;
