-- Kept for branch c_doors; delete at the merge.
SELECT 1;
