//! A model that is asked the same thing once.

use std::collections::HashMap;
use std::sync::Mutex;

use critique_core::{Completion, Generate, GenerateError, Prompt, Request, Sampling};

/// A prompt and the seed of a sample.
type Ask = (Vec<u32>, u64);

/// Completions that are known already, of one model.
///
/// A completion depends on prompt, seed and settings alone, so what was asked before need not be
/// asked again: refinements by critics that say the same, such as controls with two texts to
/// choose from.
#[derive(Debug, Default)]
pub struct Known {
    sampling: Option<Sampling>,
    completions: HashMap<Ask, Completion>,
}

/// A model that looks into [`Known`] before it computes.
pub struct Memo<'a> {
    model: &'a dyn Generate,
    known: Mutex<&'a mut Known>,
}

impl<'a> Memo<'a> {
    /// `known` must be of this model. Only completions of the settings that were asked for last
    /// are kept.
    pub fn new(model: &'a dyn Generate, known: &'a mut Known) -> Self {
        Self {
            model,
            known: Mutex::new(known),
        }
    }
}

impl Generate for Memo<'_> {
    fn encode(&self, prompt: &Prompt) -> Result<Vec<u32>, GenerateError> {
        self.model.encode(prompt)
    }

    fn generate(&self, requests: &[Request]) -> Result<Vec<Vec<Completion>>, GenerateError> {
        let Some(Request { sampling, .. }) = requests.first() else {
            return Ok(Vec::new());
        };
        if requests.iter().any(|it| it.sampling != *sampling) {
            return self.model.generate(requests);
        }
        let mut known = self.known.lock().expect("no thread panics while it looks");
        if known.sampling.as_ref() != Some(sampling) {
            known.completions.clear();
            known.sampling = Some(sampling.clone());
        }
        let unknown = |request: &Request| {
            let mut request = request.clone();
            let asked = |&seed: &u64| {
                known
                    .completions
                    .contains_key(&(request.prompt.clone(), seed))
            };
            request.seeds = request
                .seeds
                .iter()
                .copied()
                .filter(|seed| !asked(seed))
                .collect();
            (!request.seeds.is_empty()).then_some(request)
        };
        let new: Vec<Request> = requests.iter().filter_map(unknown).collect();
        if !new.is_empty() {
            let completions = self.model.generate(&new)?;
            for (request, completions) in new.into_iter().zip(completions) {
                let asks = request
                    .seeds
                    .into_iter()
                    .map(|seed| (request.prompt.clone(), seed));
                known.completions.extend(asks.zip(completions));
            }
        }
        let answer = |request: &Request| {
            let ask = |&seed: &u64| (request.prompt.clone(), seed);
            let seeds = request.seeds.iter();
            seeds
                .map(|seed| known.completions[&ask(seed)].clone())
                .collect()
        };
        Ok(requests.iter().map(answer).collect())
    }

    fn context_tokens(&self) -> usize {
        self.model.context_tokens()
    }
}
