;;; starchat-answers.el --- Answers to read  -*- lexical-binding: t; -*-

;; SPDX-License-Identifier: Apache-2.0

;;; Commentary:

;; An answer is a document of the server's, which grows while it is written.

;;; Code:

(require 'jsonrpc)
(require 'subr-x)
(require 'starchat-edits)

(declare-function starchat-connect "starchat-connection")

(defvar starchat-last-answer nil "The URI of the last answer.")

(defun starchat-show (uri)
  "Show the document that URI names; the selected window stays."
  (if (string-prefix-p "starchat:" uri)
      (display-buffer (starchat-answer-buffer uri))
    (display-buffer (starchat-buffer-of uri))))

(defun starchat-answer-buffer (uri)
  "The buffer of the answer at URI, which grows while it is written."
  (setq starchat-last-answer uri)
  (let ((buffer (get-buffer-create (format "*starchat: %s*" (file-name-base uri)))))
    (with-current-buffer buffer
      (unless (derived-mode-p 'special-mode)
        (special-mode)
        (visual-line-mode)
        (setq-local header-line-format "q closes this answer")))
    (starchat-refresh-answer uri)
    buffer))

(defun starchat-refresh-answer (uri)
  "Ask for the text of the answer at URI, and show it where it is shown."
  (when-let ((buffer (get-buffer (format "*starchat: %s*" (file-name-base uri)))))
    (jsonrpc-async-request
     (starchat-connect) :workspace/textDocumentContent (list :uri uri)
     :success-fn (lambda (content)
                   (when (buffer-live-p buffer)
                     (with-current-buffer buffer
                       (let ((inhibit-read-only t) (place (point)))
                         (erase-buffer)
                         (insert (plist-get content :text))
                         (goto-char (min place (point-max)))))))
     :error-fn #'ignore)))

(provide 'starchat-answers)
;;; starchat-answers.el ends here
