//! Parts of statements that walk an index from one name to the next. A table has many rows of few consumers.

/// The names of consumers of one table as a part of `WITH RECURSIVE`, each by one look into an index.
macro_rules! names_of {
    ($name:literal, $table:literal) => {
        concat!(
            $name,
            " (consumer) AS (
  (SELECT consumer FROM messagekit.",
            $table,
            " ORDER BY consumer LIMIT 1)
  UNION ALL
  SELECT (SELECT m.consumer FROM messagekit.",
            $table,
            " m WHERE m.consumer > k.consumer ORDER BY m.consumer LIMIT 1) FROM ",
            $name,
            " k WHERE k.consumer IS NOT NULL)"
        )
    };
}

pub(super) use names_of;
