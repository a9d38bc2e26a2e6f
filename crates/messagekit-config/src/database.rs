//! The sections `[[database]]`.

use std::path::PathBuf;

use super::{Configuration, Secret, Section};

impl Configuration {
    /// Returns the URL of the PostgreSQL database in the `[[database]]` with this name: its `url`, or what the file of `url_file` holds.
    /// The only `[[database]]` needs no name. `None` only if that is a reported problem.
    ///
    /// Those with another name are of other programs, and nothing but their names is read. Of the URL, only its scheme is checked: the rest
    /// is refused when the store connects.
    ///
    /// ```
    /// use messagekit_config::Configuration;
    ///
    /// let file = "[[database]]\nname = 'billing'\nurl = 'postgres://billing@localhost/shop'\n";
    /// let configuration = Configuration::read(("billing.toml", file), [("", "")])?;
    /// let url = configuration.complete(configuration.postgres("billing"))?;
    /// assert_eq!(url.expose(), "postgres://billing@localhost/shop");
    /// # Ok::<(), messagekit::Error>(())
    /// ```
    pub fn postgres(&self, name: &str) -> Option<Secret> {
        let (section, url) = self.database(name)?;
        let is_postgres = matches!(url.expose().split_once(':'), Some(("postgres" | "postgresql", _)));
        if !is_postgres {
            section.problem("url", "is not of PostgreSQL: write postgres://USER@HOST/DATABASE");
        }
        is_postgres.then_some(url)
    }

    /// Returns the path of the SQLite file in the `[[database]]` with this name, whose `url` is `sqlite:PATH`; otherwise as
    /// [`postgres`](Self::postgres). A relative path starts at the working folder.
    pub fn sqlite(&self, name: &str) -> Option<PathBuf> {
        let (section, url) = self.database(name)?;
        let path = url.expose().strip_prefix("sqlite:").filter(|path| !path.is_empty()).map(PathBuf::from);
        if path.is_none() {
            section.problem("url", "is no file of SQLite: write sqlite:PATH");
        }
        path
    }

    fn database(&self, name: &str) -> Option<(Section<'_>, Secret)> {
        let mut sections = self.sections("database");
        let names: Vec<Option<String>> = sections.iter().map(|section| section.optional("name")).collect();
        let is_own = |written: &Option<String>| written.as_deref() == Some(name);
        let own = names.iter().position(is_own);
        if names.iter().filter(|written| is_own(written)).count() > 1 {
            sections[0].problem("name", format!("there are two [[database]] with the name {name:?}"));
        }
        let own = own.or((names == [None]).then_some(0));
        (0..sections.len()).filter(|index| Some(*index) != own).for_each(|index| sections[index].ignore());
        let Some(own) = own else {
            let first = self.section("database.0");
            match sections.is_empty() {
                true => first.problem(
                    "url",
                    format!(
                        "missing: write [[database]] with name = {name:?} and url, or set {}",
                        first.variable("url")
                    ),
                ),
                false => {
                    let known: Vec<&str> = names.iter().flatten().map(String::as_str).collect();
                    let known = if known.is_empty() {
                        "none has a name".to_owned()
                    } else {
                        format!("there is {}", known.join(", "))
                    };
                    first
                        .problem("name", format!("there is no [[database]] with the name {name:?}: {known}"));
                }
            }
            return None;
        };
        let section = sections.swap_remove(own);
        let url = section.required_secret("url")?;
        Some((section, url))
    }
}
