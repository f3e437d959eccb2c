#pragma once

#include "request.hpp"
#include "served_model.hpp"

/// What a model is asked, from JSON to JSON. Unknown ids: an estimate falls back on what is known, an unknown user gets
/// what suits everybody ("known": false), an unknown item among a visitor's ratings is left out and counted; a similar
/// item of an unknown one cannot be found, which is a refusal with status 404.
namespace service {

Json predict(const ServedModel& model, Request& request);
Json recommend(const ServedModel& model, Request& request);
Json fold_in(const ServedModel& model, Request& request);
Json similar(const ServedModel& model, Request& request);
Json describe(const ServedModel& model);

}  // namespace service
