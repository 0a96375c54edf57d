//! The codes of all diagnostics. They are stable: a code that is out of use is not given to something else.

/// Longer than a definition may be.
pub const TOO_LONG: &str = "E0100";
/// Not YAML.
pub const SYNTAX: &str = "E0101";
/// A key that its mapping already has.
pub const DUPLICATE_KEY: &str = "E0102";
/// More nesting, values or aliases than a definition may have.
pub const TOO_MUCH: &str = "E0103";

/// A key that must be given.
pub const MISSING_KEY: &str = "E0201";
/// A key that nothing has.
pub const UNKNOWN_KEY: &str = "E0202";
/// A key that belongs elsewhere.
pub const MISPLACED_KEY: &str = "E0203";
// E0204 is out of use: a key that only a later version knew.
/// A text where a list should be, and the like.
pub const WRONG_TYPE: &str = "E0205";
/// The right type, but a value that is not possible.
pub const BAD_VALUE: &str = "E0206";
/// A name that cannot be used.
pub const BAD_NAME: &str = "E0207";
/// Keys that say two things of which there can be one.
pub const EITHER_OR: &str = "E0208";

/// A saga that does nothing.
pub const NO_STEPS: &str = "E0301";
/// A name that is taken already.
pub const DUPLICATE_STEP: &str = "E0302";
/// A step that does not say how it is undone.
pub const NO_UNDO: &str = "E0303";
/// A compensation where there is no way back.
pub const UNDO_AFTER_PIVOT: &str = "E0304";
/// A second pivot.
pub const SECOND_PIVOT: &str = "E0305";
/// A pivot that the saga could go on without.
pub const OPTIONAL_PIVOT: &str = "E0306";
/// A command that goes to no exchange.
pub const NO_EXCHANGE: &str = "E0307";
/// A key that is the same for every saga.
pub const CONSTANT_KEY: &str = "E0308";
/// A policy that there is not.
pub const UNKNOWN_POLICY: &str = "E0309";
/// A pivot that would be reached once for each item.
pub const PIVOT_IN_LOOP: &str = "E0310";
/// A refusal where there is no way back.
pub const FAIL_AFTER_PIVOT: &str = "E0311";
/// Events, but no business key to find the saga by.
pub const NO_KEY: &str = "E0312";
/// Branches behind the one that is always taken.
pub const OTHERWISE_NOT_LAST: &str = "E0313";

/// An expression that is not CEL.
pub const EXPRESSION_SYNTAX: &str = "E0401";
/// A name that stands for nothing.
pub const UNKNOWN_NAME: &str = "E0402";
/// A step that has not run when it is asked for its output.
pub const NOT_RUN_YET: &str = "E0403";
/// A function that CEL does not have.
pub const UNKNOWN_FUNCTION: &str = "E0404";
/// A field that cannot be there.
pub const UNKNOWN_FIELD: &str = "E0405";
/// An expression where there can be none.
pub const NO_EXPRESSION_HERE: &str = "E0406";
/// An expression of too many parts within parts.
pub const TOO_DEEP: &str = "E0407";
/// A text where an expression should be.
pub const NOT_AN_EXPRESSION: &str = "E0408";

/// Operands or arguments that an operator or a function does not take.
pub const OPERANDS: &str = "E0409";
/// An expression that gives what cannot be used where it stands.
pub const WRONG_RESULT: &str = "E0410";
/// A comparison that always comes out the same.
pub const ALWAYS_SAME: &str = "E0411";
/// A field of something that is no object.
pub const NO_FIELDS: &str = "E0412";
/// A field that may not be there.
pub const MAY_BE_MISSING: &str = "E0413";
/// Arithmetic that works for some numbers only.
pub const MIXED_NUMBERS: &str = "E0414";

/// A schema that is not a JSON Schema.
pub const BAD_SCHEMA: &str = "E0501";
/// A reference of a schema that cannot be followed.
pub const SCHEMA_REFERENCE: &str = "E0502";
/// A file of a schema that is not what it should be.
pub const SCHEMA_FILE: &str = "E0503";

/// A child saga that is to be undone when it cannot be any more.
pub const CHILD_PAST_PIVOT: &str = "E0601";
/// A refusal when there is no way back, because of a pivot beside it.
pub const REFUSED_BESIDE_PIVOT: &str = "E0602";
/// A saga that ends compensated with something that is not undone.
pub const HALF_UNDONE: &str = "E0603";
/// A saga that ends completed without something that it must have.
pub const HALF_DONE: &str = "E0604";
/// A saga in which nothing happens any more, and which has not ended.
pub const WAITS_FOR_EVER: &str = "E0605";
/// A command that is sent after its undo.
pub const COMMAND_AFTER_UNDO: &str = "E0606";
/// An undo before that of a later step.
pub const UNDO_OUT_OF_ORDER: &str = "E0607";
/// An outcome that does not stay what it was.
pub const OUTCOME_CHANGED: &str = "E0608";
/// A command that may have been carried out and counts as refused.
pub const UNKNOWN_AS_REFUSED: &str = "E0609";
