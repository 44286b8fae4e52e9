//! YAML files that people write: small, strict, and an unknown word is told the nearest one that is known.

use std::{
    cell::Cell,
    collections::BTreeMap,
    fmt,
    fs::File,
    io::{self, Read},
    marker::PhantomData,
    path::Path,
};

use serde::{
    Deserialize,
    de::{
        DeserializeOwned, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
        value::MapAccessDeserializer,
    },
};

use crate::pipeline::system::text::{self, TextError};

#[derive(Debug, thiserror::Error)]
pub enum YamlError {
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    #[error(transparent)]
    Text(#[from] TextError),
    #[error("is larger than 1 MB")]
    Large,
    #[error("is wrong: {problem}{}", near.as_ref().map_or(String::new(), |near| format!("; did you mean `{near}`?")))]
    Wrong { problem: String, near: Option<String> },
}

/// By its name.
pub(crate) fn is_named_so(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "yaml" || end == "yml")
}

/// More than any preset needs, and nothing that could be a film by mistake.
const MOST: u64 = 1 << 20;

pub(crate) fn read_file<T: DeserializeOwned>(path: &Path) -> Result<T, YamlError> {
    read(&text_of(path)?)
}

pub(crate) fn text_of(path: &Path) -> Result<String, YamlError> {
    let mut bytes = vec![];
    File::open(path)?.take(MOST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST {
        return Err(YamlError::Large);
    }
    Ok(text::decode(&bytes)?.into_owned())
}

pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Result<T, YamlError> {
    let read = || {
        if brackets(text) > MOST_BRACKETS {
            return Err(serde_yaml::Error::custom(format!("it opens more than {MOST_BRACKETS} brackets in brackets")));
        }
        Count(&Cell::new(0)).deserialize(serde_yaml::Deserializer::from_str(text))?;
        serde_yaml::from_str(text)
    };
    read().map_err(wrong)
}

/// Refuses a text whose outer mapping has a key of which `unknown` says what is wrong.
pub(crate) fn check_keys(text: &str, unknown: impl Fn(&str) -> Option<String>) -> Result<(), YamlError> {
    read::<IgnoredAny>(text)?;
    Keys(unknown).deserialize(serde_yaml::Deserializer::from_str(text)).map_err(wrong)
}

fn wrong(error: serde_yaml::Error) -> YamlError {
    let problem = error.to_string();
    let near = near_to_unknown(&problem);
    YamlError::Wrong { problem, near }
}

/// Walks the keys of a mapping.
struct Keys<F>(F);

impl<'de, F: Fn(&str) -> Option<String>> DeserializeSeed<'de> for Keys<F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        struct Walk<F>(F);

        impl<'de, F: Fn(&str) -> Option<String>> Visitor<'de> for Walk<F> {
            type Value = ();

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
                while let Some(key) = map.next_key::<String>()? {
                    if let Some(problem) = (self.0)(&key) {
                        return Err(A::Error::custom(problem));
                    }
                    map.next_value::<IgnoredAny>()?;
                }
                Ok(())
            }
        }

        deserializer.deserialize_map(Walk(self.0))
    }
}

/// The words that a file says something of: the keys of its mapping, or where it is no YAML those at the left margin.
pub(crate) fn keys(path: &Path) -> Vec<String> {
    if let Ok(mapping) = read_file::<BTreeMap<String, IgnoredAny>>(path) {
        return mapping.into_keys().collect();
    }
    let mut bytes = vec![];
    // What cannot be read has none.
    let _ = File::open(path).and_then(|file| file.take(MOST).read_to_end(&mut bytes));
    let text = text::begin(&bytes);
    text.lines().filter_map(|line| Some(line.split_once(':')?.0.to_owned())).collect()
}

const MOST_BRACKETS: i64 = 100;

/// How many are open at once at most: libyaml takes their number squared in time.
fn brackets(text: &str) -> i64 {
    let open = text.bytes().scan(0, |open, byte| {
        *open += i64::from(matches!(byte, b'[' | b'{')) - i64::from(matches!(byte, b']' | b'}'));
        Some(*open)
    });
    open.max().unwrap_or(0)
}

/// Walks a text and keeps nothing: aliases can make gigabytes of a few lines.
#[derive(Clone, Copy)]
struct Count<'a>(&'a Cell<usize>);

/// Many times what any file of ours holds.
const MOST_VALUES: usize = 20_000;

impl Count<'_> {
    fn one<E: Error>(self) -> Result<(), E> {
        self.0.set(self.0.get() + 1);
        match self.0.get() {
            ..=MOST_VALUES => Ok(()),
            _ => Err(E::custom(format!("it comes to more than {MOST_VALUES} values"))),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Count<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.one()?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Count<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("plain YAML without tags")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_key_seed(self)?.is_some() {
            map.next_value_seed(self)?;
        }
        Ok(())
    }
}

/// What can be written as one text, or as several values by their names.
pub(crate) trait FromText: Sized {
    /// What a message says was wanted.
    const WANTED: &str;
    fn from_text(text: &str) -> Result<Self, String>;
}

/// Which of them is told by its shape, so that what is wrong inside is told as such.
pub(crate) fn text_or_map<'de, D: Deserializer<'de>, T: FromText, M: Deserialize<'de>>(
    deserializer: D,
    of_map: impl FnOnce(M) -> T,
) -> Result<T, D::Error> {
    struct Shape<T, M, F>(F, PhantomData<(T, M)>);

    impl<'de, T: FromText, M: Deserialize<'de>, F: FnOnce(M) -> T> Visitor<'de> for Shape<T, M, F> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(T::WANTED)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
            T::from_text(text).map_err(E::custom)
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            M::deserialize(MapAccessDeserializer::new(map)).map(self.0)
        }
    }

    deserializer.deserialize_any(Shape(of_map, PhantomData))
}

/// serde tells an unknown word first and the known ones after it, each between backticks.
fn near_to_unknown(problem: &str) -> Option<String> {
    let told = &problem[problem.find("unknown ")?..];
    let mut words = told.split('`').skip(1).step_by(2);
    let unknown = words.next()?;
    nearest(unknown, words).into_iter().next()
}

/// Those of `known` that may be meant by `word`, the likeliest first.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Vec<String> {
    let alike = |known: &str| strsim::normalized_damerau_levenshtein(&word.to_lowercase(), &known.to_lowercase());
    let mut near: Vec<(f64, &str)> = known.map(|known| (alike(known), known)).filter(|near| near.0 >= 0.5).collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    near.into_iter().map(|(_, known)| known.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[serde(default)]
        steps: Option<usize>,
        #[serde(default)]
        inner: Vec<Inner>,
        #[serde(default)]
        words: Vec<String>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        guidance: f64,
    }

    fn refused(text: &str) -> String {
        read::<Outer>(text).unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_key_is_told_its_place_and_the_nearest_known_one() {
        let error = refused("steps: 1\nstep: 2\n");
        assert!(error.contains("unknown field `step`") && error.contains("line 2"), "{error}");
        assert!(error.ends_with("did you mean `steps`?"), "{error}");
        let error = refused("inner:\n  - { guidence: 3 }\n");
        assert!(error.contains("inner[0]") && error.ends_with("did you mean `guidance`?"), "{error}");
        assert!(!refused("zebra: 1").contains("did you mean"));
        assert!(read::<Outer>("steps: ~\n").unwrap().steps.is_none());
        assert_eq!(read::<Outer>("inner: [{guidance: 1}]").unwrap().inner[0].guidance, 1.0);
    }

    #[test]
    fn text_that_would_grow_beyond_reason_is_refused_at_once() {
        let nine = |of: &str| format!("[{}]", [of; 9].join(", "));
        let mut bomb = format!("a: &a {}\n", nine("lol"));
        for (this, last) in "bcdefghij".chars().zip("abcdefghi".chars()) {
            bomb += &format!("{this}: &{this} {}\n", nine(&format!("*{last}")));
        }
        assert!(refused(&bomb).contains("it comes to more than 20000 values"));
        // Two levels are enough where a text may have a megabyte.
        let wide = format!("words: &w [{}]\ninner: [{}]\n", "a, ".repeat(1000), "*w, ".repeat(1000));
        assert!(refused(&wide).contains("more than 20000 values"));
        assert!(refused(&format!("words: {}", "[".repeat(1 << 20))).contains("100 brackets in brackets"));
        assert!(refused(&format!("words: {}", "[{a: ".repeat(60))).contains("100 brackets in brackets"));
        assert!(refused(&"- ".repeat(1 << 19)).contains("recursion limit"));
    }

    #[test]
    fn the_words_of_a_file_are_known_also_where_it_is_no_yaml() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yaml");
        for (text, wanted) in [
            ("b: [1]\na: {c: 2}\n", &["a", "b"][..]),
            ("{\"b\": 1, \"a\": 2}", &["a", "b"]),
            ("b: [1\n  c: 3\na: 2\n", &["b", "  c", "a"]),
            ("b: &x [*x]\n", &["b"]),
            ("just words\n", &[]),
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(keys(&path), wanted, "{text}");
        }
        std::fs::write(&path, b"b: caf\xe9\na: 2\n").unwrap();
        assert!(keys(&path).contains(&"a".to_owned()));
        assert!(keys(&folder.path().join("gone")).is_empty());
    }

    #[test]
    fn a_file_of_more_than_a_megabyte_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large.yaml");
        std::fs::write(&path, format!("steps: 1\n{}", "# \n".repeat(400_000))).unwrap();
        assert!(matches!(read_file::<Outer>(&path), Err(YamlError::Large)));
        std::fs::write(&path, b"words: [caf\xe9]").unwrap();
        assert!(read_file::<Outer>(&path).unwrap_err().to_string().contains("is not UTF-8 text: byte 11"));
        assert!(matches!(read_file::<Outer>(&folder.path().join("gone")), Err(YamlError::Read(_))));
        std::fs::write(&path, "words: [a]").unwrap();
        assert_eq!(read_file::<Outer>(&path).unwrap().words, ["a"]);
    }
}
