//! The example that reads topics into Polars prints what it promises.

use std::path::Path;
use std::process::Command;

use crate::analysis::{python, run};

#[test]
fn the_example_in_polars_values_each_sale_at_its_time() {
    let ours = Path::new(env!("CARGO_BIN_EXE_messagekit")).parent().unwrap();
    let path = format!("{}:{}", ours.display(), std::env::var("PATH").unwrap_or_default());
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/16_arrow_into_polars.py");
    let mut example = Command::new(python());
    example.args(["-W", "error"]).arg(program).env("PATH", path).env("TZ", "America/New_York");
    assert_eq!(
        run(&mut example, "the example runs"),
        "2 x teapot at 1000 pence\n\
         1 x clock  at 4000 pence\n\
         1 x teapot at 1500 pence\n\
         revenue: 7500 pence\n\
         at the latest prices it would be: 8000 pence\n\
         in one pass: 7500 pence\n"
    );
}
