//! The tokens of a model that speaks only this task's language.

use critique_tasks::{CritiqueForm, Vocabulary};

/// Whole phrases are single tokens, so that a tiny model can write critiques in the form that
/// large ones use.
pub(crate) const VOCABULARY: Vocabulary = Vocabulary {
    phrases: &[
        "0",
        "1",
        "2",
        "3",
        "4",
        "5",
        "6",
        "7",
        "8",
        "9",
        "+",
        "-",
        "=",
        "\n",
        "Criticise: ",
        "Refine: ",
        CritiqueForm::STEP,
        CritiqueForm::EXPLANATION,
        CritiqueForm::STEP_MARK,
        CritiqueForm::VERDICT,
        CritiqueForm::CORRECT,
        CritiqueForm::WRONG,
    ],
    special: &["<user>", "<model>", "<end>"],
    chat_template: "{%- for message in messages -%}\
{%- if message.role == 'user' -%}{{- '<user>' + message.content -}}\
{%- else -%}{{- '<model>' + message.content + '<end>' -}}{%- endif -%}\
{%- endfor -%}\
{%- if add_generation_prompt -%}{{- '<model>' -}}{%- endif -%}",
    end_of_turn: "<end>",
};
