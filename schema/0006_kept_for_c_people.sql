-- Kept for branch c_people; delete at the merge.
SELECT 1;
