//! Any source is compiled or has diagnostics, and both can be printed.

#![no_main]

use libfuzzer_sys::fuzz_target;
use snorri_definition::MAX_SOURCE_BYTES;

fuzz_target!(|source: &str| {
    match snorri_definition::compile("fuzz.yaml", source) {
        Ok(compiled) => {
            assert!(source.len() <= MAX_SOURCE_BYTES);
            let same = snorri_definition::diff::diff(&compiled, &compiled).expect("one saga");
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
