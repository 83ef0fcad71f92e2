//! Comparison of JSON values by meaning, ignoring spelling.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use sha2::{Digest, Sha256};

/// Whether two values have the same meaning, ignoring the order of members and the spelling. Values
/// that are invalid JSON, or nested deeper than serde_json allows, are only equal if their texts
/// are.
///
/// Compares digests, since trees of both values could take twenty times the memory of their texts.
pub(crate) fn same_json(one: &str, other: &str) -> bool {
    if one == other {
        return true;
    }
    let digest = |text: &str| {
        let mut hasher = Sha256::new();
        let mut parser = serde_json::Deserializer::from_str(text);
        let read = HashedValue(&mut hasher).deserialize(&mut parser).and_then(|()| parser.end());
        read.ok().map(|()| hasher.finalize())
    };
    digest(one).is_some_and(|one| digest(other) == Some(one))
}

/// Hashes a value: the encoding starts with a letter for the kind, and no encoding is a prefix of
/// another.
struct HashedValue<'h>(&'h mut Sha256);

impl HashedValue<'_> {
    fn scalar<E>(self, kind: u8, bytes: &[u8]) -> Result<(), E> {
        self.0.update([kind]);
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for HashedValue<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for HashedValue<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.scalar(b'n', &[])
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.scalar(b'b', &[value.into()])
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.scalar(b'i', &i128::from(value).to_le_bytes())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.scalar(b'i', &i128::from(value).to_le_bytes())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        // 0 and -0 are equal.
        self.scalar(b'f', &(value + 0.0).to_le_bytes())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.scalar(b's', value.as_bytes())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        self.0.update(b"[");
        while list.next_element_seed(HashedValue(self.0))?.is_some() {}
        self.0.update(b"]");
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let mut digests = Vec::new();
        loop {
            let mut hasher = Sha256::new();
            if members.next_key_seed(HashedValue(&mut hasher))?.is_none() {
                break;
            }
            members.next_value_seed(HashedValue(&mut hasher))?;
            digests.push(hasher.finalize());
        }
        digests.sort_unstable();
        self.0.update(b"{");
        self.0.update((digests.len() as u64).to_le_bytes());
        digests.iter().for_each(|digest| self.0.update(digest));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling_and_order_of_members_are_no_difference() {
        for (one, other) in [
            (r#""\u00e9\/""#, r#""é/""#),
            ("[1,2]", "[1, 2]"),
            (r#"{"x": {"a":1,"b":[2,{}]}}"#, r#"{"x": {"b":[2,{}], "a":1}}"#),
            ("[0.0]", "[-0.0]"),
            ("[", "["),
        ] {
            assert!(same_json(one, other), "{one} {other}");
        }
        for (one, other) in [
            ("1", "\"1\""),
            ("null", "false"),
            ("[1,2]", "[2,1]"),
            ("[[1],2]", "[[1,2]]"),
            ("[]", "{}"),
            (r#"["a","b"]"#, r#"["ab",""]"#),
            (r#"{"a":"b"}"#, r#"{"b":"a"}"#),
            (r#"{"a":{"b":1}}"#, r#"{"a":{},"b":1}"#),
            (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
            ("18446744073709551616", "18446744073709551615"),
            ("[", "[ "),
        ] {
            assert!(!same_json(one, other), "{one} {other}");
        }
    }
}
