--- What the assistant is doing: for the status line, and beside the lines that a job is about.
local M = {}

local space = vim.api.nvim_create_namespace("starchat.status")

local model = {} ---@type { state?: string, model?: string, reason?: string, progress?: number, remote?: string }
local jobs = {} ---@type table<string|integer, { title: string, message: string, buffer?: integer, mark?: integer }>
local order = {} ---@type (string|integer)[]

local show

--- A few words for the status line: the job that began last, or what the model is doing.
function M.line()
  local job = jobs[order[#order]]
  if job and job.title ~= "" then
    return job.message ~= "" and ("%s: %s"):format(job.title, job.message) or job.title
  end
  if not model.state or model.state == "off" then
    return ""
  end
  if model.state == "ready" then
    return "StarChat: " .. model.model .. (model.remote and " at " .. model.remote or "")
  end
  return "StarChat: " .. model.state .. (model.progress and (" %d%%"):format(100 * model.progress) or "")
end

--- The state of the model, as `starchat/status` tells it.
function M.model()
  return model
end

function M.on_status(params)
  model = params
  M.redraw()
end

--- Say where a job works, before it begins.
function M.place(token, buffer, range)
  jobs[token] = { title = "", message = "", buffer = range and buffer, line = range and range.start.line }
  table.insert(order, token)
end

function M.on_progress(params)
  local value, token = params.value, params.token
  if value.kind == "end" then
    return M.forget(token)
  end
  if not jobs[token] then
    M.place(token)
  end
  local job = jobs[token]
  job.title = value.title or job.title
  local share = value.percentage and (" %d%%"):format(value.percentage) or ""
  job.message = value.message and value.message .. share or job.message
  show(job)
  M.redraw()
end

function M.forget(token)
  local job = jobs[token]
  if job and job.mark and vim.api.nvim_buf_is_valid(job.buffer) then
    vim.api.nvim_buf_del_extmark(job.buffer, space, job.mark)
  end
  jobs[token] = nil
  order = vim.tbl_filter(function(each)
    return each ~= token
  end, order)
  M.redraw()
end

--- The server is gone, and with it all it did.
function M.reset()
  for token in pairs(jobs) do
    M.forget(token)
  end
  model = {}
  M.redraw()
end

function M.redraw()
  vim.cmd.redrawstatus({ bang = true })
end

function show(job)
  if not (job.buffer and require("starchat").options.virtual_text and vim.api.nvim_buf_is_valid(job.buffer)) then
    return
  end
  local row = job.mark and vim.api.nvim_buf_get_extmark_by_id(job.buffer, space, job.mark, {})[1] or job.line
  job.mark = vim.api.nvim_buf_set_extmark(job.buffer, space, math.min(row, vim.api.nvim_buf_line_count(job.buffer) - 1), 0, {
    id = job.mark,
    virt_text = { { ("  %s: %s"):format(job.title, job.message), "StarchatProgress" } },
    virt_text_pos = "eol",
  })
end

vim.api.nvim_set_hl(0, "StarchatProgress", { link = "DiagnosticVirtualTextInfo", default = true })

return M
