//! The content of a command's `correlation_id`: the saga, step and attempt that a reply is about, and a MAC, because all of
//! that can be guessed.

use std::fmt;
use std::str::FromStr;

use super::keys::{Keyring, Purpose};
use snorri_core::input::Attempt;
use snorri_core::{Direction, SagaId, StepPath};

/// Names one attempt of one command. Participants echo it and must not read it; its form may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) saga: SagaId,
    pub(super) attempt: Attempt,
}

/// AMQP's `correlation_id` has at most 255 bytes.
const MAX_BYTES: usize = 255;

impl Token {
    pub(super) fn new(saga: SagaId, attempt: Attempt) -> Self {
        Self { saga, attempt }
    }

    /// The encoded token: its MAC, a colon, its text.
    pub(super) fn sign(&self, keys: &Keyring) -> String {
        let text = self.to_string();
        let code = keys.sign(Purpose::Correlation, &[text.as_bytes()]);
        format!("{code}:{text}")
    }

    /// Decodes the text of [`Token::sign`].
    pub(super) fn verify(text: &str, keys: &Keyring) -> Result<Self, TokenError> {
        if text.len() > MAX_BYTES {
            return Err(TokenError::Foreign);
        }
        if let Some((code, signed)) = text.split_once(':')
            && let Ok(token) = signed.parse()
        {
            let is_ours = keys.verify(Purpose::Correlation, &[signed.as_bytes()], code);
            return if is_ours { Ok(token) } else { Err(TokenError::Forged) };
        }
        Err(if text.parse::<Self>().is_ok() { TokenError::Forged } else { TokenError::Foreign })
    }
}

/// Why a `correlation_id` names no attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenError {
    /// It has another form.
    Foreign,
    /// It has the form of a token, but no valid MAC of this installation.
    Forged,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Attempt { step, direction, number } = &self.attempt;
        let direction = match direction {
            Direction::Forward => 'f',
            Direction::Compensate => 'c',
        };
        // The step comes last because its name may contain any character.
        write!(f, "{}:{direction}:{number}:{step}", self.saga)
    }
}

/// A text that is not a correlation token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotAToken;

impl FromStr for Token {
    type Err = NotAToken;

    fn from_str(text: &str) -> Result<Self, NotAToken> {
        if text.len() > MAX_BYTES {
            return Err(NotAToken);
        }
        let mut parts = text.splitn(4, ':');
        let mut part = || parts.next().ok_or(NotAToken);
        let saga: SagaId = part()?.parse().map_err(|_| NotAToken)?;
        let direction = match part()? {
            "f" => Direction::Forward,
            "c" => Direction::Compensate,
            _ => return Err(NotAToken),
        };
        let number: u32 = part()?.parse().map_err(|_| NotAToken)?;
        let step: StepPath = part()?.parse().map_err(|_| NotAToken)?;
        let token = Self { saga, attempt: Attempt { step, direction, number } };
        // There is one spelling. Others, which the parsers above accept, are not Snorri's.
        if number == 0 || token.to_string() != text {
            return Err(NotAToken);
        }
        Ok(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::keys::{Key, SECRET_BYTES};

    const SAGA: &str = "018f3c9e-0000-7000-8000-000000000001";

    #[test]
    fn a_token_reads_as_it_writes() {
        for rest in ["f:1:reserve", "c:4294967295:reserve[3][0]", "f:2:a:b", "f:1:größe"] {
            let text = format!("{SAGA}:{rest}");
            assert_eq!(text.parse::<Token>().map(|token| token.to_string()), Ok(text));
        }
    }

    #[test]
    fn a_token_is_good_only_as_it_was_signed() {
        let ring = |byte| Keyring::new(Key::new(&[byte; SECRET_BYTES]).into());
        let text = format!("{SAGA}:f:1:reserve");
        let token: Token = text.parse().expect("a token");
        let signed = token.sign(&ring(1));
        assert_eq!(Token::verify(&signed, &ring(1)), Ok(token));
        let (code, _) = signed.split_once(':').expect("a code");
        let forged = [
            text.clone(),
            signed.replace(":f:1:", ":f:2:"),
            signed.replace("reserve", "charge"),
            format!(":{text}"),
            format!("{}:{text}", "0".repeat(32)),
        ];
        for text in &forged {
            assert_eq!(Token::verify(text, &ring(1)), Err(TokenError::Forged), "{text}");
        }
        assert_eq!(Token::verify(&signed, &ring(2)), Err(TokenError::Forged));
        for foreign in ["", "4711", code, &format!("{code}:"), &format!("{signed}{}", "x".repeat(MAX_BYTES))]
        {
            assert_eq!(Token::verify(foreign, &ring(1)), Err(TokenError::Foreign), "{foreign}");
        }
    }

    #[test]
    fn what_snorri_did_not_write_is_no_token() {
        let own = |rest: &str| format!("{SAGA}:{rest}");
        let wrong = [
            String::new(),
            "order-4711".to_owned(),
            SAGA.to_owned(),
            own("f:1:"),
            own("f:0:reserve"),
            own("f:-1:reserve"),
            own("f:+1:reserve"),
            own("f:01:reserve"),
            own("f:4294967296:reserve"),
            own("x:1:reserve"),
            own("f:1:reserve[x]"),
            own("f:1:reserve[01]"),
            format!("{{{SAGA}}}:f:1:reserve"),
            format!("{}:f:1:reserve", SAGA.to_uppercase()),
            own(&format!("f:1:{}", "x".repeat(MAX_BYTES))),
        ];
        for text in wrong {
            assert_eq!(text.parse::<Token>(), Err(NotAToken), "{text}");
        }
    }
}
