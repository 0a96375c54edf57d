//! Whatever is in a definition, the catalog compiles it or tells what is wrong, and both can be shown.

#![no_main]

use libfuzzer_sys::fuzz_target;
use snorri::catalog::{self, MAX_SOURCE_BYTES};

fuzz_target!(|source: &str| {
    match catalog::compile("fuzz.yaml", source) {
        Ok(compiled) => {
            assert!(source.len() <= MAX_SOURCE_BYTES);
            let same = catalog::diff::diff(&compiled, &compiled).expect("one saga");
            assert!(same.changes.is_empty(), "{same:?}");
        }
        Err(diagnostics) => {
            assert!(!diagnostics.list.is_empty());
            for diagnostic in &diagnostics.list {
                assert!(diagnostic.span.start <= diagnostic.span.end, "{diagnostic:?}");
            }
            assert!(!diagnostics.plain().is_empty());
        }
    }
});
