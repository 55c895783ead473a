//! Text to token ids and back: the tokenizer and the chat template of a model.
//!
//! Text that comes from data or from a model never becomes a control token. A response that
//! holds `<|im_end|>` is read as those ten characters, in a prompt as well as in a turn.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::OnceLock;

use critique_core::files::{FileError, given, write_whole};
use critique_core::{Message, Prompt};
use minijinja::Value;
use serde_json::json;
use tokenizers::{AddedToken, Tokenizer};

use crate::end::{end_of_text_ids, read_json_object};
use crate::error::TextError;
use crate::settings::{ExtraTokens, Settings};
use crate::stream::TextStream;
use crate::template::{ChatTemplate, Piece, Skeleton};

const TOKENIZER: &str = "tokenizer.json";
const SETTINGS: &str = "tokenizer_config.json";
const TEMPLATE: &str = "chat_template.jinja";

/// The texts of the tokens that have a role.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SpecialTokens {
    /// Beginning of text.
    pub bos: Option<String>,
    /// End of text.
    pub eos: Option<String>,
    /// Padding.
    pub pad: Option<String>,
}

/// A model's tokenizer and chat template.
pub struct TextCodec {
    tokenizer: Tokenizer,
    /// Reads control tokens as plain characters; made when first needed.
    plain: OnceLock<Tokenizer>,
    tokenizer_json: String,
    special: SpecialTokens,
    extra: ExtraTokens,
    template: Option<ChatTemplate>,
    variables: Vec<(&'static str, Value)>,
    control_ids: BTreeSet<u32>,
    control_texts: Vec<String>,
    adds_blank: bool,
    end_of_turn: Option<u32>,
    eos_ids: Vec<u32>,
}

impl TextCodec {
    /// Reads `tokenizer.json`, `tokenizer_config.json`, the chat template (`chat_template.jinja`
    /// or the one in `tokenizer_config.json`) and the end-of-text tokens of `config.json` and
    /// `generation_config.json`. Only the first must be there.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or is damaged, a special token is not in the vocabulary, or
    /// the template uses what is not supported.
    pub fn load(dir: &Path) -> Result<Self, TextError> {
        let path = dir.join(TOKENIZER);
        let not_there = || std::io::Error::from(std::io::ErrorKind::NotFound);
        let tokenizer_json =
            read_text(&path, given::LONGEST)?.ok_or_else(|| FileError::read(&path, not_there()))?;
        let settings_path = dir.join(SETTINGS);
        let settings = read_json_object(&settings_path)?.unwrap_or_default();
        let settings =
            Settings::read(&settings).map_err(|it| FileError::content(&settings_path, it))?;
        let template = read_text(&dir.join(TEMPLATE), given::LONGEST_JSON)?;
        let template = template.or_else(|| settings.template.clone());
        Self::new(
            dir,
            tokenizer_json,
            template.as_deref(),
            settings,
            end_of_text_ids(dir)?,
        )
    }

    /// A codec of a `tokenizer.json`, a chat template (`""` for none) and special tokens, for
    /// models made in memory.
    ///
    /// # Errors
    ///
    /// As [`TextCodec::load`].
    pub fn from_parts(
        tokenizer_json: &str,
        chat_template: &str,
        special: SpecialTokens,
    ) -> Result<Self, TextError> {
        let settings = Settings::of(special);
        let template = (!chat_template.is_empty()).then_some(chat_template);
        let place = Path::new("");
        Self::new(
            place,
            tokenizer_json.to_owned(),
            template,
            settings,
            Vec::new(),
        )
    }

    fn new(
        dir: &Path,
        tokenizer_json: String,
        template: Option<&str>,
        settings: Settings,
        eos_ids: Vec<u32>,
    ) -> Result<Self, TextError> {
        let Settings { special, extra, .. } = settings;
        let path = dir.join(TOKENIZER);
        let Built { tokenizer, beyond } = build(&tokenizer_json, &extra)
            .and_then(|built| {
                check_roles(&built, &special, template, &eos_ids)?;
                Ok(built)
            })
            .map_err(|message| FileError::content(&path, message))?;
        let template = template.map(ChatTemplate::new).transpose()?;
        let controls = control_tokens(&tokenizer, &tokenizer_json, &special);
        let mut codec = Self {
            adds_blank: adds_blank(&tokenizer),
            tokenizer,
            plain: OnceLock::new(),
            tokenizer_json,
            variables: variables(&special),
            special,
            extra,
            template,
            control_ids: controls.iter().map(|(id, _)| *id).collect(),
            control_texts: controls.into_iter().map(|(_, text)| text).collect(),
            end_of_turn: None,
            eos_ids,
        };
        let eos = codec.special.eos.as_deref();
        let eos = eos.and_then(|it| codec.tokenizer.token_to_id(it));
        // No model says a token that its tokenizer only has by the name of its role.
        let eos = eos.filter(|id| !beyond.contains(id));
        codec.end_of_turn = codec
            .find_end_of_turn()
            .or(eos)
            .or(codec.eos_ids.first().copied());
        let own = codec.eos_ids.is_empty().then_some(eos).flatten();
        for id in own.into_iter().chain(codec.end_of_turn) {
            if !codec.eos_ids.contains(&id) {
                codec.eos_ids.push(id);
            }
        }
        Ok(codec)
    }

    /// Writes `tokenizer.json`, `tokenizer_config.json` and `chat_template.jinja`.
    ///
    /// For models made in memory. The files of a loaded model are copied instead
    /// (`copy_model_files` of `critique-model`).
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn save(&self, dir: &Path) -> Result<(), TextError> {
        write_whole(&dir.join(TOKENIZER), self.tokenizer_json.as_bytes())?;
        let mut settings = json!({
            "tokenizer_class": "PreTrainedTokenizerFast",
            "clean_up_tokenization_spaces": false,
        });
        let SpecialTokens { bos, eos, pad } = &self.special;
        for (name, token) in [("bos_token", bos), ("eos_token", eos), ("pad_token", pad)] {
            if let Some(token) = token {
                settings[name] = json!(token);
            }
        }
        if let Some(template) = &self.template {
            // Readers older than the file of its own look for the template here.
            settings["chat_template"] = json!(template.source());
            write_whole(&dir.join(TEMPLATE), template.source().as_bytes())?;
        }
        Ok(write_whole(
            &dir.join(SETTINGS),
            format!("{settings:#}\n").as_bytes(),
        )?)
    }

    /// The text of a chat by the model's template, as transformers renders it; with
    /// `add_generation_prompt` up to where the model's turn begins.
    ///
    /// # Errors
    ///
    /// When the model has no template, or it refuses the messages.
    pub fn render(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
    ) -> Result<String, TextError> {
        self.template()?
            .render(messages, add_generation_prompt, &self.variables)
    }

    /// Token ids of a prompt: the chat by the template, and the prefill behind it. No tokens are
    /// added beyond those that the template writes.
    ///
    /// # Errors
    ///
    /// As [`TextCodec::render`].
    pub fn encode_prompt(&self, prompt: &Prompt) -> Result<Vec<u32>, TextError> {
        self.encode_rendered(&prompt.messages, true, &prompt.prefill)
    }

    /// Token ids of a chat that ends with its last message.
    ///
    /// # Errors
    ///
    /// As [`TextCodec::render`].
    pub fn encode_chat(&self, messages: &[Message]) -> Result<Vec<u32>, TextError> {
        self.encode_rendered(messages, false, "")
    }

    /// Token ids of a text by itself. Texts of control tokens are read as characters.
    ///
    /// # Errors
    ///
    /// When the tokenizer refuses the text.
    pub fn encode_text(&self, text: &str) -> Result<Vec<u32>, TextError> {
        let ids = encode(&self.tokenizer, text)?;
        if !self.has_control(&ids) {
            return Ok(ids);
        }
        let ids = encode(self.plain()?, text)?;
        if !self.has_control(&ids) {
            return Ok(ids);
        }
        // The vocabulary itself holds a control token as a word.
        let ids = encode(self.plain()?, &self.break_controls(text))?;
        match ids.iter().find(|id| self.control_ids.contains(id)) {
            None => Ok(ids),
            Some(id) => Err(TextError::Other {
                message: format!(
                    "the tokenizer reads plain text as control token {id}; a tokenizer that \
                     keeps the two apart is wanted"
                ),
            }),
        }
    }

    /// Token ids of the model's own turn when it says `text`, as they continue a prompt: the
    /// text, then the token that ends a turn.
    ///
    /// # Errors
    ///
    /// When the tokenizer refuses the text, or no token is known to end a turn.
    pub fn encode_turn(&self, text: &str) -> Result<Vec<u32>, TextError> {
        let Some(end) = self.end_of_turn else {
            return Err(TextError::Other {
                message: "no token ends a turn: the chat template writes none behind an \
                          assistant's message and the tokenizer has no `eos_token`"
                    .to_owned(),
            });
        };
        let mut ids = self.encode_continuation(text)?;
        ids.push(end);
        Ok(ids)
    }

    /// The text of token ids; ids that the tokenizer does not know are passed over. A character
    /// that is cut off in its middle reads as U+FFFD; [`TextCodec::stream`] holds it back.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> String {
        // Only decoders that were misconfigured fail, and building one has been checked.
        self.tokenizer.decode(ids, skip_special).unwrap_or_default()
    }

    /// Reads token ids one by one as they come, without special tokens.
    pub fn stream(&self) -> TextStream<'_> {
        TextStream::new(self)
    }

    /// Tokens that end a completion: the end-of-text tokens of `config.json` and
    /// `generation_config.json` (without these files, that of the tokenizer), and the
    /// end-of-turn token.
    pub fn eos_ids(&self) -> &[u32] {
        &self.eos_ids
    }

    /// The token behind an assistant's turn, else the end-of-text token.
    pub fn end_of_turn_id(&self) -> Option<u32> {
        self.end_of_turn
    }

    /// Id of the padding token.
    pub fn pad_id(&self) -> Option<u32> {
        let pad = self.special.pad.as_deref()?;
        self.tokenizer.token_to_id(pad)
    }

    /// Id of the beginning-of-text token.
    pub fn bos_id(&self) -> Option<u32> {
        let bos = self.special.bos.as_deref()?;
        self.tokenizer.token_to_id(bos)
    }

    /// Number of tokens, special ones included; a model's vocabulary may be larger.
    pub fn vocab(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }

    /// Id of a token by its text, where it is one token.
    pub fn token_id(&self, text: &str) -> Option<u32> {
        self.tokenizer.token_to_id(text)
    }

    /// The model's chat template.
    pub fn chat_template(&self) -> Option<&str> {
        self.template.as_ref().map(ChatTemplate::source)
    }

    /// The date and time that the chat template is given where it asks for one
    /// (`strftime_now`), in seconds since 1970-01-01 UTC; that of loading until it is set.
    /// `None` where the template does not ask.
    pub fn template_time(&self) -> Option<u64> {
        let template = self.template.as_ref()?;
        let asks = template.source().contains("strftime_now");
        asks.then(|| template.time())
    }

    /// Sets what [`TextCodec::template_time`] gives. Prompts depend on it, so it is kept with
    /// whatever is to be repeated.
    pub fn set_template_time(&self, secs: u64) {
        if let Some(template) = &self.template {
            template.set_time(secs);
        }
    }

    fn template(&self) -> Result<&ChatTemplate, TextError> {
        self.template.as_ref().ok_or_else(|| TextError::Other {
            message: format!(
                "the model has no chat template; a file `{TEMPLATE}` in its folder is wanted"
            ),
        })
    }

    /// Encodes a chat so that control tokens come from the template alone.
    ///
    /// The text is encoded whole, as transformers does, unless that finds a control token inside
    /// a content; then piece by piece, so that merges do not reach over the pieces' borders.
    fn encode_rendered(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
        prefill: &str,
    ) -> Result<Vec<u32>, TextError> {
        let rendered = self.render(messages, add_generation_prompt)?;
        let skeleton = self
            .template()?
            .skeleton(messages, add_generation_prompt, &self.variables);
        let skeleton = skeleton.ok();
        let pieces = skeleton
            .as_ref()
            .and_then(|it| it.pieces(&rendered, messages));
        let Some(mut pieces) = pieces else {
            return self.encode_reworked(
                skeleton.as_deref(),
                messages,
                add_generation_prompt,
                prefill,
            );
        };
        pieces.push(Piece::Content(prefill));
        let whole = encode(&self.tokenizer, &(rendered.clone() + prefill))?;
        let mut wanted = Vec::new();
        for piece in &pieces {
            if let Piece::Template(text) = piece {
                wanted.extend(self.controls(&encode(&self.tokenizer, text)?));
            }
        }
        if self.controls(&whole).eq(wanted) {
            return Ok(whole);
        }
        let mut ids = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Template(text) => ids.extend(encode(&self.tokenizer, text)?),
                Piece::Content(text) => ids.extend(self.encode_continuation(text)?),
            }
        }
        Ok(ids)
    }

    /// For templates that rework contents: the texts of control tokens inside contents are
    /// broken up before rendering; where the template still makes control tokens out of
    /// contents, whatever might begin one is.
    fn encode_reworked(
        &self,
        skeleton: Option<&Skeleton>,
        messages: &[Message],
        add_generation_prompt: bool,
        prefill: &str,
    ) -> Result<Vec<u32>, TextError> {
        let encode_with = |broken: &dyn Fn(&str) -> String| {
            let message = |it: &Message| Message {
                role: it.role,
                content: broken(&it.content),
            };
            let messages: Vec<_> = messages.iter().map(message).collect();
            let text = self.render(&messages, add_generation_prompt)? + &broken(prefill);
            encode(&self.tokenizer, &text)
        };
        let ids = encode_with(&|text| self.break_controls(text))?;
        if let Some(skeleton) = skeleton {
            let wanted = encode(&self.tokenizer, skeleton.text())?;
            if self.controls(&ids).eq(self.controls(&wanted)) {
                return Ok(ids);
            }
        }
        encode_with(&|text| self.break_beginnings(text))
    }

    /// A text in which no control token stands: a zero-width space is put behind its first
    /// character.
    fn break_controls(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for control in &self.control_texts {
            if text.contains(control.as_str()) {
                let mut letters = control.chars();
                // A control token of one character can only be taken out.
                let first = letters.next().filter(|_| !letters.as_str().is_empty());
                let first = first.map(String::from).unwrap_or_default();
                let broken = format!("{first}\u{200B}{}", letters.as_str());
                text = text.replace(control.as_str(), &broken);
            }
        }
        text
    }

    /// A text with zero-width spaces around every character that begins some control token.
    fn break_beginnings(&self, text: &str) -> String {
        let begins = |letter| self.control_texts.iter().any(|it| it.starts_with(letter));
        let mut broken = String::new();
        for letter in self.break_controls(text).chars() {
            if begins(letter) {
                broken.extend(['\u{200B}', letter, '\u{200B}']);
            } else {
                broken.push(letter);
            }
        }
        broken
    }

    /// Token ids of a text that stands behind another. Tokenizers of the sentencepiece kind put
    /// a blank before a text, which does not belong inside of one: there the text is encoded
    /// behind a newline, which is then taken off.
    fn encode_continuation(&self, text: &str) -> Result<Vec<u32>, TextError> {
        if !self.adds_blank {
            return self.encode_text(text);
        }
        let anchor = self.encode_text("\n")?;
        let mut ids = self.encode_text(&format!("\n{text}"))?;
        if ids.starts_with(&anchor) {
            Ok(ids.split_off(anchor.len()))
        } else {
            self.encode_text(text)
        }
    }

    /// The tokenizer that reads control tokens as characters.
    fn plain(&self) -> Result<&Tokenizer, TextError> {
        if let Some(plain) = self.plain.get() {
            return Ok(plain);
        }
        let built = build(&self.tokenizer_json, &self.extra);
        let mut plain = built
            .map_err(|message| TextError::Other { message })?
            .tokenizer;
        plain.set_encode_special_tokens(true);
        Ok(self.plain.get_or_init(|| plain))
    }

    fn controls<'a>(&'a self, ids: &'a [u32]) -> impl Iterator<Item = u32> + 'a {
        let is_control = |id: &u32| self.control_ids.contains(id);
        ids.iter().copied().filter(is_control)
    }

    fn has_control(&self, ids: &[u32]) -> bool {
        self.controls(ids).next().is_some()
    }

    /// The control token that the template writes behind an assistant's message.
    fn find_end_of_turn(&self) -> Option<u32> {
        const SAID: &str = "wordsofthemodel";
        let chat = [Message::user("hello"), Message::assistant(SAID)];
        let rendered = self.render(&chat, false).ok()?;
        let (_, tail) = rendered.rsplit_once(SAID)?;
        let ids = encode(&self.tokenizer, tail).ok()?;
        let first = ids.iter().position(|id| self.control_ids.contains(id))?;
        let before = self.decode(&ids[..first], false);
        before.trim().is_empty().then_some(ids[first])
    }
}

impl std::fmt::Debug for TextCodec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TextCodec")
            .field("vocab", &self.vocab())
            .field("special", &self.special)
            .field("eos_ids", &self.eos_ids)
            .finish_non_exhaustive()
    }
}

/// A file's text, or nothing when there is no such file.
fn read_text(path: &Path, limit: u64) -> Result<Option<String>, FileError> {
    let bytes = given::read(path, limit)?;
    let text = bytes.map(String::from_utf8).transpose();
    text.map_err(|error| FileError::content(path, error.to_string()))
}

/// A tokenizer as transformers sets it up.
struct Built {
    tokenizer: Tokenizer,
    /// Ids of the tokens that have a role and that neither vocabulary nor lists hold.
    beyond: BTreeSet<u32>,
}

/// The tokenizer with the tokens of `tokenizer_config.json`, in the order in which transformers
/// 5 adds them: first those of `added_tokens_decoder`, then those with a role, then others.
fn build(tokenizer_json: &str, extra: &ExtraTokens) -> Result<Built, String> {
    let mut tokenizer = read_tokenizer(tokenizer_json)?;
    // Settings for batches of equal length, which would cut or fill up every text.
    tokenizer
        .with_truncation(None)
        .map_err(|error| error.to_string())?;
    tokenizer.with_padding(None);
    add_listed(&mut tokenizer, &extra.added)?;
    let unknown = |token: &&AddedToken| tokenizer.token_to_id(&token.content).is_none();
    let beyond: Vec<_> = extra.roles.iter().filter(unknown).cloned().collect();
    let tokens = extra.roles.iter().chain(&extra.special).cloned();
    let is_special = |token: &AddedToken| {
        let added = tokenizer.get_added_vocabulary();
        added.is_special_token(&token.content)
    };
    let tokens: Vec<_> = tokens.filter(|it| !is_special(it)).collect();
    tokenizer
        .add_special_tokens(tokens)
        .map_err(|error| error.to_string())?;
    let id = |token: AddedToken| tokenizer.token_to_id(&token.content);
    let beyond = beyond.into_iter().filter_map(id).collect();
    Ok(Built { tokenizer, beyond })
}

/// Reads `tokenizer.json`. What is no JSON is refused first, since the library panics at some of
/// it; a panic at something else is an error too.
fn read_tokenizer(json: &str) -> Result<Tokenizer, String> {
    serde_json::from_str::<serde::de::IgnoredAny>(json)
        .map_err(|error| format!("not a tokenizer: {error}"))?;
    match std::panic::catch_unwind(|| Tokenizer::from_bytes(json)) {
        Ok(read) => read.map_err(|error| format!("not a tokenizer: {error}")),
        Err(_) => Err("not a tokenizer: reading it ended in a panic".to_owned()),
    }
}

/// Adds tokens that `tokenizer_config.json` lists with their ids.
fn add_listed(tokenizer: &mut Tokenizer, listed: &[(u32, AddedToken)]) -> Result<(), String> {
    let unknown = |(_, token): &&(u32, AddedToken)| tokenizer.token_to_id(&token.content).is_none();
    let new: Vec<_> = listed.iter().filter(unknown).cloned().collect();
    let tokens = listed.iter().map(|(_, token)| token.clone());
    tokenizer
        .add_tokens(tokens)
        .map_err(|error| error.to_string())?;
    for (wanted, token) in new {
        let found = tokenizer.token_to_id(&token.content);
        if found != Some(wanted) && !token.content.is_empty() {
            return Err(format!(
                "field `added_tokens_decoder` of `{SETTINGS}` gives `{}` the id {wanted}, but \
                 behind the tokens here it gets {}; give the tokens here that stand before it",
                token.content.escape_debug(),
                found.unwrap_or_default()
            ));
        }
    }
    Ok(())
}

/// Refuses a token that the vocabulary does not hold where something would write it: the chat
/// template, or, where nothing else ends a text, every turn. What is only padded with stops
/// nobody: nothing here pads.
fn check_roles(
    built: &Built,
    special: &SpecialTokens,
    template: Option<&str>,
    eos_ids: &[u32],
) -> Result<(), String> {
    let SpecialTokens { bos, eos, pad } = special;
    for (name, text) in [("bos_token", bos), ("eos_token", eos), ("pad_token", pad)] {
        let Some(text) = text else { continue };
        let id = built.tokenizer.token_to_id(text);
        let written = template.is_some_and(|it| it.contains(name));
        let ends = name == "eos_token" && eos_ids.is_empty();
        if id.is_none_or(|id| built.beyond.contains(&id)) && (written || ends) {
            return Err(format!(
                "the vocabulary does not hold `{}`, the `{name}` of `{SETTINGS}`",
                text.escape_debug()
            ));
        }
    }
    Ok(())
}

/// Ids and texts of the special tokens. The one for unknown characters is none of them unless it
/// has another role: any text may hold unknown characters.
fn control_tokens(
    tokenizer: &Tokenizer,
    tokenizer_json: &str,
    special: &SpecialTokens,
) -> Vec<(u32, String)> {
    let unknown = unknown_token(tokenizer_json);
    let SpecialTokens { bos, eos, pad } = special;
    let has_role = |text: &String| [bos, eos, pad].into_iter().flatten().any(|it| it == text);
    let mut tokens: Vec<_> = tokenizer
        .get_added_tokens_decoder()
        .into_iter()
        .filter(|(_, token)| token.special && !token.content.is_empty())
        .filter(|(_, token)| unknown.as_ref() != Some(&token.content) || has_role(&token.content))
        .map(|(id, token)| (id, token.content))
        .collect();
    tokens.sort();
    tokens
}

/// The token that the vocabulary gives for what it does not hold.
fn unknown_token(tokenizer_json: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Whole {
        model: Model,
    }
    #[derive(serde::Deserialize)]
    struct Model {
        unk_token: Option<String>,
    }
    let whole: Whole = serde_json::from_str(tokenizer_json).ok()?;
    whole.model.unk_token
}

/// Whether the tokenizer puts a blank before a text.
fn adds_blank(tokenizer: &Tokenizer) -> bool {
    let first = encode(tokenizer, "a").ok();
    let first = first.and_then(|ids| tokenizer.id_to_token(*ids.first()?));
    first.is_some_and(|text| text.starts_with(['\u{2581}', '\u{120}']))
}

/// What a template sees beside the messages.
fn variables(special: &SpecialTokens) -> Vec<(&'static str, Value)> {
    let SpecialTokens { bos, eos, pad } = special;
    let tokens = [("bos_token", bos), ("eos_token", eos), ("pad_token", pad)];
    let known = tokens
        .into_iter()
        .filter_map(|(name, text)| Some((name, Value::from(text.clone()?))));
    known.collect()
}

/// Token ids of a text, control tokens read as such, none added around it.
fn encode(tokenizer: &Tokenizer, text: &str) -> Result<Vec<u32>, TextError> {
    let encoding = tokenizer.encode_fast(text, false);
    let encoding = encoding.map_err(|source| TextError::Refused {
        context: "splitting a text into tokens".to_owned(),
        source,
    })?;
    Ok(encoding.get_ids().to_vec())
}
