--- A look at an edit before it is made, for those who want one (the option `confirm`).
local M = {}

local changed, show, text_of

--- `workspace/applyEdit`: shown as a diff, and made if the user says so.
function M.apply(err, params, context)
  local lines = {}
  for _, change in ipairs(params.edit.documentChanges or {}) do
    vim.list_extend(lines, changed(change, context))
  end
  for uri, edits in pairs(params.edit.changes or {}) do
    vim.list_extend(lines, changed({ textDocument = { uri = uri }, edits = edits }, context))
  end
  local window = show(lines)
  local choice = vim.fn.confirm("StarChat: make this change?", "&Yes\n&No", 1)
  vim.api.nvim_win_close(window, true)
  vim.cmd.redraw() -- the question is answered; else what is said next would wait for Enter
  if choice ~= 1 then
    return { applied = false, failureReason = "You left the text as it was." }
  end
  return vim.lsp.handlers["workspace/applyEdit"](err, params, context)
end

--- What one change does to its document, as lines of a diff.
function changed(change, context)
  if not change.edits then
    return { ("%s %s"):format(change.kind, vim.uri_to_fname(change.uri)) }
  end
  local before = text_of(change.textDocument.uri)
  local scratch = vim.api.nvim_create_buf(false, true)
  vim.api.nvim_buf_set_lines(scratch, 0, -1, false, before)
  vim.lsp.util.apply_text_edits(change.edits, scratch, vim.lsp.get_client_by_id(context.client_id).offset_encoding)
  local after = vim.api.nvim_buf_get_lines(scratch, 0, -1, false)
  vim.api.nvim_buf_delete(scratch, { force = true })
  local diff = vim.diff(table.concat(before, "\n") .. "\n", table.concat(after, "\n") .. "\n", { ctxlen = 3 })
  return vim.split(vim.trim(diff --[[@as string]]), "\n")
end

--- The lines of a document: those of its buffer, or of a new file none.
function text_of(uri)
  local buffer = vim.fn.bufnr(vim.uri_to_fname(uri))
  return buffer > 0 and vim.api.nvim_buf_is_loaded(buffer) and vim.api.nvim_buf_get_lines(buffer, 0, -1, false) or {}
end

--- Show the diff over the editor.
function show(lines)
  local buffer = vim.api.nvim_create_buf(false, true)
  vim.api.nvim_buf_set_lines(buffer, 0, -1, false, lines)
  vim.bo[buffer].filetype, vim.bo[buffer].bufhidden = "diff", "wipe"
  local width, height = math.floor(vim.o.columns * 0.8), math.min(#lines, math.floor(vim.o.lines * 0.6))
  local window = vim.api.nvim_open_win(buffer, false, {
    relative = "editor",
    row = 1,
    col = math.floor((vim.o.columns - width) / 2),
    width = width,
    height = math.max(1, height),
    border = "rounded",
    style = "minimal",
    title = " StarChat ",
  })
  vim.cmd.redraw()
  return window
end

return M
