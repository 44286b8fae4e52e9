//! From a prompt to the ids of its words, as diffusers 0.42.1 gets them (`pipelines/wan/pipeline_wan.py`): cleaned,
//! split by the model's own tokenizer, ended by `</s>`, cut to what the transformer takes.

mod clean;
mod html;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

pub(crate) use clean::clean;
use tokenizers::{
    TruncationParams,
    pre_tokenizers::{
        metaspace::{Metaspace, PrependScheme},
        sequence::Sequence,
        whitespace::WhitespaceSplit,
    },
};

use wanctl::pipeline::system::text;

use crate::engine::wan::t5::TEXT_ROWS;

#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenizerError {
    #[error("cannot read the tokenizer {}; it is umT5-XXL's tokenizer.json, which lies in `tokenizer` of a diffusers \
             folder and in `google/umt5-xxl` of Wan's own", file.display())]
    Open { file: PathBuf, source: io::Error },
    #[error("{} is not a tokenizer.json that wanctl can read", file.display())]
    Format { file: PathBuf, source: tokenizers::Error },
    #[error("{} splits an empty text into {found:?}, expected only `</s>`: it is not umT5's tokenizer", file.display())]
    End { file: PathBuf, found: Vec<String> },
    #[error("cannot split the prompt into words")]
    Prompt { source: tokenizers::Error },
}

#[derive(Debug)]
pub(crate) struct Tokenizer(tokenizers::Tokenizer);

impl Tokenizer {
    /// Of a file `tokenizer.json`: its table of characters and its words. How it splits at white space, where it cuts
    /// and what it pads are not taken from it, since transformers 5.23.0 does not either (`tokenization_t5.py`).
    pub(crate) fn open(file: &Path) -> Result<Self, TokenizerError> {
        let bytes = fs::read(file).map_err(|source| TokenizerError::Open { file: file.into(), source })?;
        let format = |source| TokenizerError::Format { file: file.into(), source };
        let text = text::decode(&bytes).map_err(|error| format(error.into()))?;
        let mut tokenizer = tokenizers::Tokenizer::from_bytes(text.as_bytes()).map_err(format)?;
        let metaspace = Metaspace::new('▁', PrependScheme::Always, true);
        tokenizer.with_pre_tokenizer(Some(Sequence::new(vec![WhitespaceSplit.into(), metaspace.into()])));
        let cut = TruncationParams { max_length: TEXT_ROWS as usize, ..TruncationParams::default() };
        tokenizer.with_truncation(Some(cut)).map_err(format)?.with_padding(None);
        match tokenizer.encode_fast("", true).map_err(format)?.get_tokens() {
            [end] if end == "</s>" => Ok(Self(tokenizer)),
            found => Err(TokenizerError::End { file: file.into(), found: found.into() }),
        }
    }

    /// At most 512, `</s>` the last of them, however long the prompt is.
    pub(crate) fn ids(&self, prompt: &str) -> Result<Vec<i64>, TokenizerError> {
        let words = self.0.encode_fast(clean(prompt), true).map_err(|source| TokenizerError::Prompt { source })?;
        Ok(words.get_ids().iter().map(|&id| id.into()).collect())
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, de::DeserializeOwned};

    use super::*;

    /// Made by diffusers and transformers: `make.py` in the folders of these files.
    const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/wan");
    const TOKENIZER: &str = "words/tokenizer.json";

    #[derive(Deserialize)]
    struct Prompt {
        text: String,
        clean: String,
        ids: Vec<i64>,
    }

    #[derive(Deserialize)]
    struct Mojibake {
        text: String,
        ftfy: String,
        clean: String,
    }

    fn rows<T: DeserializeOwned>(file: &str) -> Vec<T> {
        serde_json::from_slice(&fs::read(format!("{FIXTURES}/{file}")).unwrap()).unwrap()
    }

    fn open(file: &str) -> Tokenizer {
        Tokenizer::open(&Path::new(FIXTURES).join(file)).unwrap()
    }

    #[test]
    fn prompts_are_cleaned_as_diffusers_cleans_them() {
        let prompts: Vec<Prompt> = rows("words/prompts.json");
        assert!(prompts.len() > 150);
        for Prompt { text, clean: expected, .. } in prompts {
            assert_eq!(clean(&text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_was_decoded_with_the_wrong_encoding_is_not_decoded_again() {
        for Mojibake { text, ftfy, clean: expected } in rows("words/mojibake.json") {
            assert_eq!(clean(&text), expected, "{text:?}");
            assert_ne!(ftfy, expected, "{text:?} is not mojibake to ftfy");
        }
    }

    #[test]
    fn prompts_are_split_into_the_ids_of_transformers() {
        for (file, prompts) in [(TOKENIZER, "words/prompts.json"), ("tiny/tokenizer/tokenizer.json", "prompts.json")] {
            let tokenizer = open(file);
            for Prompt { text, ids, .. } in rows(prompts) {
                assert_eq!(tokenizer.ids(&text).unwrap(), ids, "{text:?} by {file}");
            }
        }
    }

    #[test]
    fn a_tokenizer_with_a_byte_order_mark_is_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tokenizer.json");
        let text = fs::read(format!("{FIXTURES}/{TOKENIZER}")).unwrap();
        fs::write(&file, [b"\xef\xbb\xbf".as_slice(), &text].concat()).unwrap();
        assert_eq!(Tokenizer::open(&file).unwrap().ids("a fox").unwrap(), open(TOKENIZER).ids("a fox").unwrap());
    }

    #[test]
    fn a_prompt_of_any_length_has_at_most_512_ids_and_ends() {
        let tokenizer = open(TOKENIZER);
        for (words, expected) in [(0, 1), (1, 2), (510, 511), (511, 512), (512, 512), (5000, 512)] {
            let ids = tokenizer.ids(&"a ".repeat(words)).unwrap();
            assert_eq!((ids.len(), ids.last()), (expected, Some(&1)), "{words} words");
        }
    }

    #[test]
    fn a_file_that_is_no_tokenizer_of_umt5_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let written = |text: &str| {
            let file = folder.path().join("tokenizer.json");
            fs::write(&file, text).unwrap();
            Tokenizer::open(&file).unwrap_err().to_string().replace(&folder.path().display().to_string(), "model")
        };
        assert_eq!(written("{}"), "model/tokenizer.json is not a tokenizer.json that wanctl can read");

        let mut json = as_json(TOKENIZER);
        json["post_processor"] = serde_json::Value::Null;
        assert_eq!(
            written(&json.to_string()),
            "model/tokenizer.json splits an empty text into [], expected only `</s>`: it is not umT5's tokenizer"
        );

        let missing = Tokenizer::open(Path::new("model/tokenizer.json")).unwrap_err().to_string();
        assert_eq!(
            missing,
            "cannot read the tokenizer model/tokenizer.json; it is umT5-XXL's tokenizer.json, which lies in `tokenizer` \
             of a diffusers folder and in `google/umt5-xxl` of Wan's own"
        );
    }

    fn as_json(file: &str) -> serde_json::Value {
        serde_json::from_slice(&fs::read(format!("{FIXTURES}/{file}")).unwrap()).unwrap()
    }
}
