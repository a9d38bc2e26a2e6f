//! Whether a program can use the tables of a database.

use crate::{Error, ErrorKind};

/// The schema version of a database, as its own rows state it.
///
/// A program is named by its newest step: program 4 knows the steps up to 4. A database may be ahead of a program, because a step
/// that only adds states that lower programs can use the tables. So the tables are migrated first, and programs are replaced one
/// after another, in either direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SchemaVersion {
    /// The newest step that was run; 0 without tables.
    pub current: u32,
    /// The lowest program that can use the tables: the highest that one of the steps states.
    pub lowest_program: u32,
}

/// The numbers of the steps that a program knows. The first one makes all tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownSteps {
    /// The number of the first step.
    pub first: u32,
    /// The number of the newest step, which names the program.
    pub latest: u32,
}

/// Whether a program can use the tables of a database, and which side is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaFit {
    /// The program can use the tables. They may be newer than it.
    Usable,
    /// There are no tables.
    Missing,
    /// The tables are of a version before the first step of the program, and no step raises them.
    BeforeFirst,
    /// The tables lack a step of the program.
    Older,
    /// The tables have a step that the program neither knows nor can live with.
    Newer,
}

impl SchemaVersion {
    /// Decides whether a program can use the tables.
    pub fn fit(self, program: KnownSteps) -> SchemaFit {
        match self.current {
            0 => SchemaFit::Missing,
            current if current < program.first => SchemaFit::BeforeFirst,
            current if current < program.latest => SchemaFit::Older,
            current if current > program.latest && self.lowest_program > program.latest => SchemaFit::Newer,
            _ => SchemaFit::Usable,
        }
    }

    /// Refuses tables that a program cannot use. `place` is what has the tables: `database` or `file`.
    ///
    /// # Errors
    /// [`ErrorKind::Schema`] with the version of the tables, that of the program, and the cure. A retry does not help.
    pub fn check(self, program: KnownSteps, place: &'static str) -> Result<(), Error> {
        let fit = self.fit(program);
        let text = match fit {
            SchemaFit::Usable => return Ok(()),
            SchemaFit::Missing => {
                "the tables of messagekit are missing: run `messagekit migrate --database …`".to_owned()
            }
            SchemaFit::Older => {
                "the tables are older than this program: run `messagekit migrate --database …`".to_owned()
            }
            SchemaFit::BeforeFirst => format!(
                "the tables are of a version before the first that this program knows, and cannot be upgraded: use a new {place}, and \
                 finish what is in this one with the program that made it"
            ),
            SchemaFit::Newer => {
                format!("tables are newer than this program: upgrade the program, or name another {place}")
            }
        };
        let error =
            Error::new(ErrorKind::Schema, text).with(place, self.current).with("program", program.latest);
        Err(match fit {
            SchemaFit::Newer => error.with("lowest_program", self.lowest_program),
            _ => error,
        })
    }

    /// Refuses tables that no step of a program makes usable: newer ones, and those of a version before its first step.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn check_for_steps(self, program: KnownSteps, place: &'static str) -> Result<(), Error> {
        match self.fit(program) {
            SchemaFit::BeforeFirst | SchemaFit::Newer => self.check(program, place),
            SchemaFit::Usable | SchemaFit::Missing | SchemaFit::Older => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::SchemaFit::{BeforeFirst, Missing, Newer, Older, Usable};
    use super::{KnownSteps, SchemaVersion};

    #[test]
    fn tables_are_usable_from_the_lowest_program_to_their_maker() {
        for (current, lowest_program, program, fit) in [
            (0, 0, 3, Missing),
            (3, 3, 3, Usable),
            (3, 3, 4, Older),
            (3, 3, 5, Older),
            // The deploy has begun with the tables, or goes back with the programs.
            (4, 3, 3, Usable),
            (5, 3, 3, Usable),
            (5, 4, 3, Newer),
            // A step that lower programs cannot use states itself.
            (5, 5, 4, Newer),
            // Whatever the program knows by now, no step begins at these tables.
            (2, 1, 3, BeforeFirst),
            (1, 1, 9, BeforeFirst),
        ] {
            let tables = SchemaVersion { current, lowest_program };
            let known = KnownSteps { first: 3, latest: program };
            assert_eq!(tables.fit(known), fit, "{tables:?}, program {program}");
            let is_refused = tables.check(known, "database").is_err();
            assert_eq!(is_refused, fit != Usable, "{tables:?}, program {program}");
            let is_hopeless = tables.check_for_steps(known, "database").is_err();
            assert_eq!(is_hopeless, matches!(fit, Newer | BeforeFirst), "{tables:?}, program {program}");
        }
    }
}
