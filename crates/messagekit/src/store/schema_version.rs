//! Whether a program can use the tables of a database.

/// The schema version of a database, as its own rows state it.
///
/// A program is named by its newest step: program 4 knows the steps 1 to 4. A database may be ahead of a program, because a step
/// that only adds states that lower programs can use the tables. So the tables are migrated first, and programs are replaced one
/// after another, in either direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SchemaVersion {
    /// The newest step that was run; 0 without tables.
    pub current: u32,
    /// The lowest program that can use the tables: the highest that one of the steps states.
    pub lowest_program: u32,
}

/// Whether a program can use the tables of a database, and which side is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaFit {
    /// The program can use the tables. They may be newer than it.
    Usable,
    /// There are no tables.
    Missing,
    /// The tables lack a step of the program.
    Older,
    /// The tables have a step that the program neither knows nor can live with.
    Newer,
}

impl SchemaVersion {
    /// Decides whether a program, by its newest step, can use the tables.
    pub fn fit(self, program: u32) -> SchemaFit {
        match self.current {
            0 => SchemaFit::Missing,
            current if current < program => SchemaFit::Older,
            current if current > program && self.lowest_program > program => SchemaFit::Newer,
            _ => SchemaFit::Usable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::SchemaFit::{Missing, Newer, Older, Usable};
    use super::SchemaVersion;

    #[test]
    fn tables_are_usable_from_the_lowest_program_to_their_maker() {
        for (current, lowest_program, program, fit) in [
            (0, 0, 1, Missing),
            (1, 1, 1, Usable),
            (1, 1, 2, Older),
            (3, 1, 4, Older),
            (3, 1, 3, Usable),
            // The deploy has begun with the tables, or goes back with the programs.
            (4, 3, 3, Usable),
            (5, 3, 3, Usable),
            (4, 3, 2, Newer),
            // A step that lower programs cannot use states itself.
            (5, 5, 4, Newer),
        ] {
            let tables = SchemaVersion { current, lowest_program };
            assert_eq!(tables.fit(program), fit, "{tables:?}, program {program}");
        }
    }
}
