-- Kept for branch c_grammar; delete at the merge.
SELECT 1;
