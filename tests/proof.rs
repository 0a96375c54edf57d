//! Everything that can happen, tried.

use snorri::catalog;
use snorri::proof::{Bounds, Surroundings, prove};

#[test]
fn look() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/sagas");
    for source in catalog::read_directory(directory).expect("definitions") {
        let compiled = catalog::compile("x", &source.text).expect("compiles");
        let began = std::time::Instant::now();
        let proof = prove(&compiled.definition, &Surroundings::default(), &Bounds::default());
        println!(
            "{}: {} states, {} transitions, {:?}",
            compiled.definition.name,
            proof.states,
            proof.transitions,
            began.elapsed()
        );
        for end in &proof.ends {
            println!("   {:?} {:?} {:.0}", end.status, end.held, end.paths);
        }
        for violation in &proof.violations {
            println!(
                "   !! {:?} {:?}\n      {}",
                violation.rule,
                violation.step,
                violation.story.join("\n      ")
            );
        }
        println!("   {:?}", proof.left_out);
    }
}
