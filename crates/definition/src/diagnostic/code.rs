//! The codes of all diagnostics. They are stable: a retired code is not used again.

/// Longer than a definition may be.
pub const TOO_LONG: &str = "E0100";
/// Not YAML.
pub const SYNTAX: &str = "E0101";
/// A key that its mapping already has.
pub const DUPLICATE_KEY: &str = "E0102";
/// More nesting, values or aliases than a definition may have.
pub const TOO_MUCH: &str = "E0103";
/// A literal whose value differs from its text.
pub const LOSSY_LITERAL: &str = "E0104";
/// A number that is not kept as it is written.
pub const NOT_KEPT: &str = "E0105";

/// A key that must be given.
pub const MISSING_KEY: &str = "E0201";
/// An unknown key.
pub const UNKNOWN_KEY: &str = "E0202";
/// A key that belongs elsewhere.
pub const MISPLACED_KEY: &str = "E0203";
// E0204 is retired: a key that only a later version had.
/// A text where a list should be, and the like.
pub const WRONG_TYPE: &str = "E0205";
/// The right type, but a value that is not possible.
pub const BAD_VALUE: &str = "E0206";
/// A name that cannot be used.
pub const BAD_NAME: &str = "E0207";
/// Keys that exclude each other.
pub const EITHER_OR: &str = "E0208";

/// A saga that does nothing.
pub const NO_STEPS: &str = "E0301";
/// A name that is taken already.
pub const DUPLICATE_STEP: &str = "E0302";
/// A step without `compensate`.
pub const NO_UNDO: &str = "E0303";
/// A compensation where there is no way back.
pub const UNDO_AFTER_PIVOT: &str = "E0304";
/// A second pivot.
pub const SECOND_PIVOT: &str = "E0305";
/// A pivot that is optional.
pub const OPTIONAL_PIVOT: &str = "E0306";
/// A command that goes to no exchange.
pub const NO_EXCHANGE: &str = "E0307";
/// A key that is the same for every saga.
pub const CONSTANT_KEY: &str = "E0308";
/// An unknown policy.
pub const UNKNOWN_POLICY: &str = "E0309";
/// A pivot that would be reached once for each item.
pub const PIVOT_IN_LOOP: &str = "E0310";
/// A refusal where there is no way back.
pub const FAIL_AFTER_PIVOT: &str = "E0311";
/// Events, but no business key to find the saga by.
pub const NO_KEY: &str = "E0312";
/// Branches behind the one that is always taken.
pub const DEFAULT_NOT_LAST: &str = "E0313";
/// A saga that may be cancelled although all goes well in the end.
pub const TOO_SLOW: &str = "E0314";
/// A sleep or a wait that the saga's timeout always cuts short.
pub const NEVER_IN_TIME: &str = "E0315";
/// A condition that is always true, or never.
pub const CONSTANT_CONDITION: &str = "E0316";
/// A condition that an earlier branch has already.
pub const SAME_CONDITION: &str = "E0317";
/// Steps where the saga has always failed already.
pub const NEVER_REACHED: &str = "E0318";
/// An event whose saga is the same whatever the event carries.
pub const CANNOT_CORRELATE: &str = "E0319";
/// A command without the key that the events of its participant must carry.
pub const KEY_NOT_SENT: &str = "E0320";
/// An event with two outcomes.
pub const CONTRADICTING_EVENTS: &str = "E0321";
/// An event that any of several steps may consume.
pub const AMBIGUOUS_EVENT: &str = "E0322";
/// A start that cannot start a saga.
pub const CANNOT_START: &str = "E0323";
/// A start whose sagas all have the same key.
pub const KEY_NEVER_CHANGES: &str = "E0324";
/// A schedule that is never due.
pub const NEVER_DUE: &str = "E0325";
/// A start that is given twice.
pub const SAME_START: &str = "E0326";

/// A saga that is part of itself.
pub const RECURSION: &str = "E0340";
/// An unknown version of a child saga.
pub const UNKNOWN_VERSION: &str = "E0341";
/// An unknown child saga.
pub const UNKNOWN_SAGA: &str = "E0342";
/// An input that the child saga does not take.
pub const CHILD_INPUT: &str = "E0343";
/// Two replies to the same command.
pub const REPLIES_DIFFER: &str = "E0344";
/// The same command with a part of its payload left out.
pub const PAYLOADS_DIFFER: &str = "E0345";
/// Two definitions of one name and version.
pub const TWO_OF_A_VERSION: &str = "E0346";

/// An expression that is not CEL.
pub const EXPRESSION_SYNTAX: &str = "E0401";
/// An unknown name.
pub const UNKNOWN_NAME: &str = "E0402";
/// A step that has not run when its output is read.
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
/// An expression whose result cannot be used in its place.
pub const WRONG_RESULT: &str = "E0410";
/// A comparison with a constant result.
pub const ALWAYS_SAME: &str = "E0411";
/// A field of something that is no object.
pub const NO_FIELDS: &str = "E0412";
/// A field that may not be there.
pub const MAY_BE_MISSING: &str = "E0413";
/// Arithmetic that works for some numbers only.
pub const MIXED_NUMBERS: &str = "E0414";
/// A field that an open schema does not list, while it lists one with a similar name.
pub const UNKNOWN_TO_SCHEMA: &str = "E0415";
/// A part of an output that may be missing.
pub const MAY_HAVE_NO_OUTPUT: &str = "E0416";
/// A text made of an output that is null when it is needed most.
pub const OWN_OUTPUT_IN_TEXT: &str = "E0417";
/// An expression whose cost grows faster than the data.
pub const GROWS: &str = "E0418";

/// A schema that is not a JSON Schema.
pub const BAD_SCHEMA: &str = "E0501";
/// A reference of a schema that cannot be followed.
pub const SCHEMA_REFERENCE: &str = "E0502";
/// A file of a schema that is not what it should be.
pub const SCHEMA_FILE: &str = "E0503";
/// A pattern that takes too long for long texts.
pub const SLOW_PATTERN: &str = "E0504";

/// A compensation of a child saga that can no longer be compensated.
pub const CHILD_PAST_PIVOT: &str = "E0601";
/// A refusal after a pivot in a parallel branch has succeeded.
pub const REFUSED_NEXT_TO_PIVOT: &str = "E0602";
/// A saga that ends compensated with something that is not compensated.
pub const HALF_UNDONE: &str = "E0603";
/// A saga that ends completed without something that it must have.
pub const HALF_DONE: &str = "E0604";
/// A saga that waits forever.
pub const WAITS_FOR_EVER: &str = "E0605";
/// A command that is sent after its compensation.
pub const COMMAND_AFTER_UNDO: &str = "E0606";
/// A compensation before that of a later step.
pub const UNDO_OUT_OF_ORDER: &str = "E0607";
/// An outcome that does not stay what it was.
pub const OUTCOME_CHANGED: &str = "E0608";
/// A command that may have been carried out and counts as refused.
pub const UNKNOWN_AS_REFUSED: &str = "E0609";
/// A command before what comes before it has ended.
pub const COMMAND_TOO_EARLY: &str = "E0610";
/// A step that stops waiting for an operator without an intervention.
pub const INCIDENT_LOST: &str = "E0611";
/// A definition whose state space was not explored completely.
pub const NOT_ALL_TRIED: &str = "E0612";
/// An intervention of an operator with a wrong effect.
pub const WRONG_INTERVENTION: &str = "E0613";
/// A pause that changes the saga.
pub const PAUSE_CHANGES: &str = "E0614";
/// A stuck saga that no operator can help.
pub const NO_WAY_OUT: &str = "E0615";
/// A migration that changes what it must not.
pub const MIGRATION_CHANGES: &str = "E0616";

/// Scenarios for a definition that is missing or invalid.
pub const SCENARIO_DEFINITION: &str = "E0701";
/// A step that the definition of a scenario does not have.
pub const SCENARIO_STEP: &str = "E0702";
/// An input that no saga can be started with.
pub const SCENARIO_INPUT: &str = "E0703";
/// A reply that cannot come.
pub const SCENARIO_ANSWER: &str = "E0704";
/// A signal or an event that no step takes.
pub const SCENARIO_ARRIVAL: &str = "E0705";
/// A scenario with the name of another one.
pub const SCENARIO_NAME: &str = "E0706";
/// An outcome that differs from the expected one, or comes at another time.
pub const SCENARIO_HAPPENING: &str = "E0707";
/// An exchange that the broker does not have.
pub const NO_SUCH_EXCHANGE: &str = "E0801";
/// An exchange that is not as it is declared.
pub const OTHER_EXCHANGE: &str = "E0802";
/// A command that reaches no queue.
pub const NO_ROUTE: &str = "E0803";
/// A queue without a consumer.
pub const NO_CONSUMER: &str = "E0804";
/// A queue whose dead letters are lost.
pub const NO_DEAD_LETTERS: &str = "E0805";
/// Dead letters without a route.
pub const DEAD_LETTERS_NOWHERE: &str = "E0806";
/// A quorum queue that delivers a message without end.
pub const NO_DELIVERY_LIMIT: &str = "E0807";
/// An exchange that could not be checked.
pub const EXCHANGE_NOT_CHECKED: &str = "E0808";
