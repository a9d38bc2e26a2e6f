//! `cargo xtask bench`: compares messagekit with the limits of the machine and with its peers, in one run.
//!
//! Machines are noisy. All contenders of a cell therefore run in turn, for several rounds, and only metrics of one run
//! are comparable. Every run ends with a ledger: lost, doubled or reordered events fail it, whatever its speed.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a measurement prints")]

mod cells;
mod events;
mod frame;
mod peers;
mod raw;
mod resources;
mod settings;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use sqlx::Connection;

use cells::{ALL, Client, TUNING, consume_traced};
use frame::{Cell, Machine, Outcome, Plan, json, markdown, plot, run};
use settings::Settings;

/// Measure messagekit beside the raw limits and its peers.
#[derive(Debug, Parser)]
#[command(name = "bench", bin_name = "cargo xtask bench")]
struct Options {
    /// The cells; without a name all of them but those of tuning, which one name means together
    #[arg(value_name = "CELL")]
    cells: Vec<String>,
    /// Print the cells and end
    #[arg(long)]
    list: bool,
    /// Only the contenders with this text in group and name, and the cells that have one
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Rounds; medians are compared
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=50))]
    rounds: u32,
    /// Write everything as JSON into this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write tables as Markdown and a plot per cell into this folder
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Consume as a member of a group, for a cell that has started this program so
    #[arg(long, value_name = "CLIENT", hide = true)]
    member: Option<Client>,
    /// Consume from this database and print the rate, for a cell that has started this program so
    #[arg(long, value_name = "DATABASE", hide = true, requires = "events")]
    traced: Option<String>,
    /// The number of events
    #[arg(long, value_name = "N", hide = true)]
    events: Option<usize>,
    /// One event in this many is recorded
    #[arg(long, value_name = "N", hide = true)]
    one_in: Option<usize>,
    #[command(flatten)]
    settings: Settings,
}

#[tokio::main]
async fn main() -> ExitCode {
    let measured = tokio::select! {
        measured = measure(Options::parse()) => measured,
        _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
    };
    match measured {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("bench: a run has failed, see its faults");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether every run was without a fault.
async fn measure(options: Options) -> Outcome<bool> {
    if let Some(client) = options.member {
        client.run().await?;
        return Ok(true);
    }
    if let (Some(database), Some(events)) = (&options.traced, options.events) {
        println!("{}", consume_traced(database, events, options.one_in).await?);
        return Ok(true);
    }
    if options.list {
        ALL.iter().chain(&TUNING).for_each(|cell| println!("{:<4} {}", cell.id, cell.title));
        return Ok(true);
    }
    let settings = Arc::new(options.settings);
    let plans = plans(&options.cells, options.only.as_deref(), &settings)?;
    settings.prepare().await?;
    let machine = Machine::here(versions(&settings).await);
    println!("{machine}\n");
    let mut all = Vec::new();
    for (cell, plan) in plans {
        let results = run(&cell, &plan, options.rounds).await;
        println!("{results}\n");
        all.push(results);
        // Write after each cell: an interrupted run keeps its results.
        if let Some(file) = &options.json {
            std::fs::write(file, format!("{:#}\n", json(&machine, options.rounds, &all)))?;
        }
    }
    if let Some(folder) = options.out {
        std::fs::create_dir_all(&folder)?;
        let mut page = format!("{machine}. Medians of {} rounds.\n", options.rounds);
        for cell in &all {
            page += &format!("\n{}", markdown(cell));
            svg::save(folder.join(format!("{}.svg", cell.id)), &plot(cell))?;
        }
        std::fs::write(folder.join("results.md"), page)?;
    }
    Ok(all.iter().all(frame::CellResults::is_sound))
}

/// Returns the plans of cells by name, with the contenders that are wanted.
fn plans(names: &[String], only: Option<&str>, settings: &Arc<Settings>) -> Outcome<Vec<(Cell, Plan)>> {
    let mut plans: Vec<(Cell, Plan)> =
        chosen(names)?.into_iter().map(|cell| (cell, (cell.plan)(Arc::clone(settings)))).collect();
    if let Some(text) = only {
        plans.iter_mut().for_each(|(_, plan)| plan.contenders.retain(|one| one.title().contains(text)));
        plans.retain(|(_, plan)| !plan.contenders.is_empty());
        if plans.is_empty() {
            return Err(format!("no contender of these cells has {text:?} in its name").into());
        }
    }
    Ok(plans)
}

fn chosen(names: &[String]) -> Outcome<Vec<Cell>> {
    if names.is_empty() {
        return Ok(ALL.to_vec());
    }
    let mut chosen = Vec::new();
    for name in names {
        let is_it = |cell: &Cell| {
            cell.id.eq_ignore_ascii_case(name)
                || (name == "tuning" && TUNING.iter().any(|tuning| tuning.id == cell.id))
        };
        let before = chosen.len();
        chosen.extend(ALL.into_iter().chain(TUNING).filter(is_it));
        if chosen.len() == before {
            return Err(format!("there is no cell {name}: --list names them").into());
        }
    }
    Ok(chosen)
}

/// Returns the versions that the servers report. Absent servers are left out.
async fn versions(settings: &Settings) -> Vec<(&'static str, String)> {
    let mut versions = vec![("messagekit", env!("CARGO_PKG_VERSION").to_owned())];
    let database = async {
        let mut connection = sqlx::PgConnection::connect(settings.database()?).await?;
        let sql = "SELECT format('%s (fsync=%s, synchronous_commit=%s)', current_setting('server_version'), current_setting('fsync'), current_setting('synchronous_commit'))";
        Outcome::<String>::Ok(sqlx::query_scalar(sql).fetch_one(&mut connection).await?)
    };
    versions.extend(database.await.ok().map(|version| ("PostgreSQL", version)));
    versions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contenders_are_chosen_by_a_text_in_their_names() {
        let ids = |cells: &[&str], text: &str| {
            let options = Options::try_parse_from(["bench"].iter().chain(cells)).unwrap();
            let plans = plans(&options.cells, Some(text), &Arc::new(options.settings));
            plans.map(|plans| {
                let names = |plan: &Plan| plan.contenders.iter().map(|one| one.name.clone()).collect();
                plans.iter().map(|(cell, plan)| (cell.id, names(plan))).collect::<Vec<(_, Vec<_>)>>()
            })
        };
        let relay = "messagekit relay, draining".to_owned();
        assert_eq!(ids(&["M1", "D1"], "draining").unwrap(), [("M1", vec![relay])]);
        assert!(ids(&["M1"], "no such name").unwrap_err().to_string().contains("\"no such name\""));
    }

    #[test]
    fn cells_are_chosen_by_name_in_any_case() {
        let ids = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            chosen(&names).map(|cells| cells.into_iter().map(|cell| cell.id).collect::<Vec<_>>())
        };
        assert_eq!(ids(&["w1", "R1"]).unwrap(), ["W1", "R1"]);
        assert_eq!(ids(&["tuning"]).unwrap(), ["T1", "T2"]);
        assert_eq!(ids(&[]).unwrap().len(), ALL.len());
        assert!(ids(&["Z9"]).unwrap_err().to_string().contains("--list"));
    }
}
